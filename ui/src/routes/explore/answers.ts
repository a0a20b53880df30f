/** From answers of the API to what a chart draws, and to the figures of the table. Pure. */

import type { components } from "$lib/api/api";
import { breakAtGaps, joinTimes } from "$lib/chart/gaps";
import type { BandWindow, ChartModel, ChartSeries, Gap, Mark, Value } from "$lib/chart/model";
import { coverageOf } from "$lib/chart/band";
import { labelOf, placeOf } from "$lib/format/series";
import { type ChosenSeries, lengthMs } from "./choice.ts";
import { rollingMean } from "./rolling.ts";

export { labelOf, placeOf };

export type PointColumns = components["schemas"]["PointColumns"];
export type SeriesColumns = components["schemas"]["SeriesColumns"];
export type Rejection = components["schemas"]["Rejection"];

const FINE = /\.\d{3}(\d{1,6})/;

/** Milliseconds of RFC 3339 text, with the fraction of one that `Date` would drop. */
export function parseMs(text: string): number {
  const ms = Date.parse(text);
  const finer = text.length > 23 ? FINE.exec(text) : null;
  return finer ? ms + Number(`0.${finer[1]}`) : ms;
}

export interface Bounds {
  starts: number[];
  ends: number[];
}

/** Starts and ends of the windows of an answer. */
export function boundsOf(answer: Pick<PointColumns, "time" | "every">): Bounds {
  const starts = answer.time.map(parseMs);
  const length = answer.every ? (lengthMs(answer.every) ?? 0) : 0;
  const ends = starts.map((start, n) => starts[n + 1] ?? start + (length || start - (starts[n - 1] ?? start)));
  // a fill leaves no window out; where windows are left out all the same, a window ends after its own length
  return { starts, ends: ends.map((end, n) => (length ? Math.min(end, (starts[n] as number) + length * 1.1) : end)) };
}

export function gapsOf(answer: Pick<PointColumns, "gaps">): Gap[] {
  return (answer.gaps ?? []).map((gap) => ({ series: gap.series, start: parseMs(gap.start), end: parseMs(gap.end), why: gap.why }));
}

const KINDS = ["rejected", "flagged", "late"] as const;

/** Marks of windows, in their middle. Rejected records of `listed` series are left to the ledger. */
function windowMarks(answer: PointColumns, bounds: Bounds, listed: ReadonlySet<string>): Mark[] {
  const marks: Mark[] = [];
  for (const series of answer.series) {
    for (const kind of KINDS) {
      if (kind === "rejected" && listed.has(series.id)) continue;
      if (kind === "late" && isMostlyLate(series)) continue;
      (series.evidence?.[kind] ?? []).forEach((count, n) => {
        if (!count) return;
        const at = ((bounds.starts[n] as number) + (bounds.ends[n] as number)) / 2;
        marks.push({ kind, at, count, series: series.id, reasons: [] });
      });
    }
  }
  return marks;
}

/** Whether a series came late as a rule, as one that was imported does: a mark for each window would say nothing. */
export function isMostlyLate(series: SeriesColumns): boolean {
  const late = series.evidence?.late ?? [];
  const came = series.evidence?.n ?? [];
  const marked = late.filter((count) => count).length;
  return marked > 12 && marked > came.filter((count) => count).length / 4;
}

/** Marks of rejected records at the time that they say; duplicates are their own kind. */
function ledgerMarks(rejections: readonly Rejection[], series: string, field: string): Mark[] {
  return rejections.flatMap((item): Mark[] => {
    if (item.time === null) return [];
    const kind = item.reasons.includes("duplicate") ? "duplicate" : "rejected";
    const value = valueOf(item, field);
    return [{ kind, at: parseMs(item.time), count: 1, series, reasons: item.reasons, ...(value === null ? {} : { value }) }];
  });
}

function valueOf(item: Rejection, field: string): number | null {
  const read = (item as { values?: Record<string, unknown>; value?: unknown }).values?.[field] ?? (item as { value?: unknown }).value;
  if (typeof read === "number") return read;
  const { record } = item;
  const sent = record && typeof record === "object" ? (record as Record<string, unknown>)[field] : undefined;
  return typeof sent === "number" && Number.isFinite(sent) ? sent : null;
}

/** The evidence of all series together, up to now. */
export function bandOf(answer: PointColumns, bounds: Bounds, gaps: readonly Gap[], shown: ReadonlySet<string>, now: number): BandWindow[] {
  const parts = answer.series.filter((series) => shown.has(series.id) && series.evidence);
  if (!parts.length) return [];
  const sealed = gaps.filter((gap) => gap.why === "sealed");
  return bounds.starts.flatMap((start, n): BandWindow[] => {
    const end = bounds.ends[n] as number;
    if (start >= now) return [];
    const elapsed = Math.min(1, (now - start) / Math.max(end - start, 1e-9));
    let came = 0;
    let due: number | null = 0;
    let restated = false;
    for (const { evidence } of parts) {
      came += evidence?.n?.[n] ?? 0;
      const expected = evidence?.expected?.[n] ?? null;
      due = due === null || expected === null ? null : due + expected * elapsed;
      restated ||= (evidence?.restated?.[n] ?? 0) > 0;
    }
    return [{ start, end, n: came, expected: due, restated, sealed: sealed.some((gap) => gap.start < end && gap.end > start) }];
  });
}

/** What a model is made of. `points` in place of the values of `windows` once there are few. */
export interface Parts {
  windows: PointColumns | null;
  points: PointColumns | null;
  chosen: readonly ChosenSeries[];
  colours: ReadonlyMap<string, number>;
  hidden: ReadonlySet<string>;
  agg: string;
  ledger: ReadonlyMap<string, readonly Rejection[]>;
  rolling: string | null;
  now: number;
}

export const NOTHING: ChartModel = {
  time: [], starts: null, ends: null, series: [], gaps: [], marks: [], band: [], fans: [], anomalies: [], changes: [], smooth: [],
};

export function buildModel(parts: Parts): ChartModel {
  const { windows, points, chosen } = parts;
  const drawn = points ?? windows;
  if (!drawn) return NOTHING;
  const gaps = windows ? gapsOf(windows) : [];
  const bounds = windows ? boundsOf(windows) : null;
  const order = chosen.flatMap((item) => {
    const series = drawn.series.find((other) => other.id === item.id);
    return series ? [{ item, series, gaps: gaps.filter((gap) => gap.series === item.id) }] : [];
  });
  const shown = new Set(order.map(({ item }) => item.id).filter((id) => !parts.hidden.has(id)));
  const model: ChartModel = { ...NOTHING, gaps };
  const lines: { values: Value[]; min: Value[] | null; max: Value[] | null }[] = [];
  if (points) {
    const columns = order.map((entry) => {
      const time = (entry.series.times ?? []).map(parseMs);
      return { time, ...breakAtGaps(time, entry.series.columns.value ?? [], entry.gaps) };
    });
    const joined = joinTimes(columns);
    model.time = joined.time;
    for (const values of joined.values) lines.push({ values, min: null, max: null });
  } else if (bounds) {
    const { starts, ends } = bounds;
    model.time = chosen.some((item) => item.step) ? starts : starts.map((start, n) => (start + (ends[n] as number)) / 2);
    [model.starts, model.ends] = [starts, ends];
    for (const { series, gaps: own } of order) {
      const column = (name: string) => {
        const values = series.columns[name];
        return values ? breakAtGaps(starts, values, own).values : null;
      };
      const extremes = parts.agg === "count" || parts.agg === "sum" || parts.agg === "stddev" || parts.agg === "increase" || parts.agg === "rate";
      lines.push({ values: column(parts.agg) ?? [], min: extremes ? null : column("min"), max: extremes ? null : column("max") });
    }
  }
  model.series = order.map(({ item, series }, n): ChartSeries => ({
    id: item.id,
    label: labelOf(series),
    unit: series.units[parts.agg] ?? series.unit ?? "",
    colour: parts.colours.get(item.id) ?? 1,
    axis: item.axis,
    step: item.step,
    values: lines[n]?.values ?? [],
    min: lines[n]?.min ?? null,
    max: lines[n]?.max ?? null,
    n: points ? null : (series.evidence?.n ?? null),
    expected: points ? null : (series.evidence?.expected ?? null),
  }));
  if (windows && bounds) {
    model.band = bandOf(windows, bounds, gaps, shown, parts.now);
    const listed = new Set(parts.ledger.keys());
    model.marks = [
      ...windowMarks(windows, bounds, listed),
      ...order.flatMap(({ item, series }) => ledgerMarks(parts.ledger.get(item.id) ?? [], item.id, series.field)),
    ].filter((mark) => shown.has(mark.series));
  }
  const length = parts.rolling ? lengthMs(parts.rolling) : null;
  if (length) {
    model.smooth = model.series.map((series) => ({ series: series.id, values: rollingMean(model.time, series.values, series.n, length) }));
  }
  return model;
}

/** A row of the table under the chart. null: not known, or none. */
export interface SeriesFigures {
  id: string;
  label: string;
  place: string;
  unit: string;
  last: number | null;
  min: number | null;
  mean: number | null;
  max: number | null;
  points: number;
  coverage: number | null;
  rejected: number;
  flagged: number;
}

/** Figures of the range: aggregates from `totals` (one window), counts from the evidence of `windows`. */
export function figuresOf(windows: PointColumns | null, totals: PointColumns | null, chosen: readonly ChosenSeries[], now: number): SeriesFigures[] {
  const bounds = windows ? boundsOf(windows) : null;
  return chosen.flatMap(({ id }): SeriesFigures[] => {
    const series = windows?.series.find((item) => item.id === id);
    const whole = totals?.series.find((item) => item.id === id);
    const known = series ?? whole;
    if (!known) return [];
    const sum = (name: string) => (series?.evidence?.[name] ?? []).reduce<number>((all, count) => all + (count ?? 0), 0);
    const first = (name: string) => whole?.columns[name]?.[0] ?? null;
    const due = (series?.evidence?.expected ?? []).flatMap((expected, n) => {
      const start = bounds?.starts[n] ?? 0;
      const end = bounds?.ends[n] ?? 0;
      if (start >= now) return [];
      const elapsed = Math.min(1, (now - start) / Math.max(end - start, 1e-9));
      return [{ n: series?.evidence?.n?.[n] ?? 0, expected: expected === null ? null : expected * elapsed }];
    });
    return [
      {
        id,
        label: labelOf(known),
        place: placeOf(known),
        unit: known.unit ?? "",
        last: first("last"),
        min: first("min"),
        mean: first("mean"),
        max: first("max"),
        points: series?.evidence ? sum("n") : (first("count") ?? 0),
        coverage: coverageOf(due),
        rejected: sum("rejected"),
        flagged: sum("flagged"),
      },
    ];
  });
}
