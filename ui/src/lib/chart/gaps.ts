/** Gaps of series: where lines break, and which boxes are hatched. Never draws what was not sent. */

import type { Gap, Range, Value, Why } from "./model.ts";

export const REASONS: Record<Why, string> = {
  deleted: "deleted",
  sealed: "expired, and sealed",
  all_rejected: "all rejected",
  null_values: "samples without a value",
  not_reached: "never received; the source was not reached",
  source_empty: "never received; the source had nothing",
  never_received: "never received",
  unknown: "nothing here, and why is not known",
};

/**
 * The values with null inside gaps, and undefined where merely nothing was due: a line passes over undefined and stops
 * at null. `gaps` are those of one series, ascending. Where a gap lies between two points, the second value is
 * preceded by a break: the result says so in `breaks`, instants at which a null has to be put.
 */
export function breakAtGaps(time: number[], values: (number | null)[], gaps: Gap[]): { values: Value[]; breaks: number[] } {
  const broken: Value[] = [];
  const breaks: number[] = [];
  let next = 0;
  for (let n = 0; n < time.length; n += 1) {
    const at = time[n] as number;
    let inside = false;
    for (let gap = gaps[next]; gap && gap.start <= at; gap = gaps[next]) {
      if (at < gap.end) {
        inside = true;
        break;
      }
      const before = time[n - 1];
      if (before !== undefined && before < gap.start) breaks.push((gap.start + Math.min(gap.end, at)) / 2);
      next += 1;
    }
    const value = values[n] ?? null;
    broken.push(value === null ? (inside ? null : undefined) : value);
  }
  return { values: broken, breaks };
}

/** Columns of several series on one time axis: undefined where a series has no point at an instant. */
export function joinTimes(columns: { time: number[]; values: Value[]; breaks: number[] }[]): { time: number[]; values: Value[][] } {
  const time = [...new Set(columns.flatMap((column) => [...column.time, ...column.breaks]))].sort((a, b) => a - b);
  const values = columns.map((column) => {
    const byTime = new Map<number, Value>(column.breaks.map((at) => [at, null]));
    column.time.forEach((at, n) => byTime.set(at, column.values[n]));
    return time.map((at) => byTime.get(at));
  });
  return { time, values };
}

export interface GapBox {
  start: number;
  end: number;
  /** Of how many of the shown series. */
  series: string[];
  why: Why[];
}

/** Boxes to hatch: where every shown series has a gap. Parts that touch and have the same reasons are one box. */
export function gapBoxes(gaps: Gap[], shown: string[], range: Range): GapBox[] {
  const edges = [...new Set(gaps.flatMap((gap) => [Math.max(gap.start, range.from), Math.min(gap.end, range.to)]))]
    .filter((at) => at >= range.from && at <= range.to)
    .sort((a, b) => a - b);
  const boxes: GapBox[] = [];
  edges.slice(0, -1).forEach((start, n) => {
    const end = edges[n + 1] as number;
    const over = gaps.filter((gap) => gap.start <= start && gap.end >= end && shown.includes(gap.series));
    const series = [...new Set(over.map((gap) => gap.series))];
    if (series.length < shown.length || !series.length) return;
    const why = [...new Set(over.map((gap) => gap.why))].sort();
    const last = boxes[boxes.length - 1];
    if (last && last.end === start && String(last.why) === String(why)) last.end = end;
    else boxes.push({ start, end, series, why });
  });
  return boxes;
}

const known = new WeakMap<Value[], number[]>();

/** The indexes of points without a neighbour on either side, which no line shows. Kept for each array of values. */
export function singles(values: Value[]): number[] {
  const kept = known.get(values);
  if (kept) return kept;
  const indexes: number[] = [];
  let run: number[] = [];
  const close = () => {
    if (run.length === 1) indexes.push(run[0] as number);
    run = [];
  };
  values.forEach((value, n) => {
    if (value === null) close();
    else if (value !== undefined && run.length < 2) run.push(n);
  });
  close();
  known.set(values, indexes);
  return indexes;
}
