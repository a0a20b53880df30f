/** What a chart is given: windows or raw points of up to eight series, and what is known about them. Times are ms since the epoch. */

/** A value; null: a gap, where no line is drawn; undefined: nothing due, so that a line goes on. */
export type Value = number | null | undefined;

export type Why =
  | "deleted" | "sealed" | "all_rejected" | "null_values" | "not_reached" | "source_empty" | "never_received" | "unknown";

/** An interval [start, end) without points of a series, in which one was due. */
export interface Gap {
  series: string;
  start: number;
  end: number;
  why: Why;
}

export type MarkKind = "rejected" | "flagged" | "late" | "duplicate";

/** What became of records other than a point in good standing. `value` where a rejected record has a readable one. */
export interface Mark {
  kind: MarkKind;
  at: number;
  count: number;
  series: string;
  reasons: string[];
  value?: number;
}

export interface ChartSeries {
  id: string;
  /** "p1 · bar" */
  label: string;
  unit: string;
  /** 1 to 8: the colour of the series while it is shown. */
  colour: number;
  axis: 1 | 2 | null;
  step: boolean;
  /** As long as the chart's `time`. */
  values: Value[];
  min: Value[] | null;
  max: Value[] | null;
  /** Points in each window, and how many were due; null: raw points. */
  n: (number | null)[] | null;
  expected: (number | null)[] | null;
}

export interface Fan {
  series: string;
  time: number[];
  values: number[];
  lower: number[];
  upper: number[];
  level: string;
}

export interface Anomaly {
  series: string;
  at: number;
  value: number;
  reason: string;
}

/** A change that is drawn as a vertical hair, with its reason on hover. */
export interface ChangeNote {
  at: number;
  series: string;
  reason: string;
}

/** A smoothed line of a series; with a `time` of its own the mean of many, on the scale of that series. */
export interface Smooth {
  series: string;
  values: Value[];
  time?: number[];
}

export interface ChartModel {
  /** Instants at which values are drawn: middles of windows, or times of points. Ascending. */
  time: number[];
  /** Starts and ends of windows; null: raw points. */
  starts: number[] | null;
  ends: number[] | null;
  series: ChartSeries[];
  gaps: Gap[];
  marks: Mark[];
  /** Windows of the evidence band, which may be others than those drawn. */
  band: BandWindow[];
  fans: Fan[];
  anomalies: Anomaly[];
  changes: ChangeNote[];
  smooth: Smooth[];
}

/** A window of the evidence band: of all shown series together. */
export interface BandWindow {
  start: number;
  end: number;
  n: number;
  /** null: not known how many points are due. */
  expected: number | null;
  restated: boolean;
  sealed: boolean;
}

export interface Range {
  from: number;
  to: number;
}
