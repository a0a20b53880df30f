/** The outline of the smallest and largest values of windows, in px: one closed ring for each run without a gap. */

import type { Value } from "./model.ts";

export interface Ring {
  /** Left to right along the largest values, then back along the smallest: x and y in turn. */
  points: number[];
}

/**
 * Rings of an envelope between the indexes `first` and `last` (included). Windows that share a column of px are drawn
 * as one, with the extremes of all of them, so that a peak is never lost and a ring has at most four numbers a column.
 */
export function rings(
  time: number[],
  min: Value[],
  max: Value[],
  first: number,
  last: number,
  toX: (at: number) => number,
  toY: (value: number) => number,
): Ring[] {
  const closed: Ring[] = [];
  let xs: number[] = [];
  let tops: number[] = [];
  let bottoms: number[] = [];
  const close = () => {
    if (xs.length) closed.push({ points: outline(xs, tops, bottoms) });
    [xs, tops, bottoms] = [[], [], []];
  };
  for (let n = Math.max(0, first); n <= Math.min(last, time.length - 1); n += 1) {
    const low = min[n];
    const high = max[n];
    if (low === undefined || high === undefined) continue;
    if (low === null || high === null) {
      close();
      continue;
    }
    const x = Math.round(toX(time[n] as number));
    const top = toY(high);
    const bottom = toY(low);
    const end = xs.length - 1;
    if (end >= 0 && xs[end] === x) {
      tops[end] = Math.min(tops[end] as number, top);
      bottoms[end] = Math.max(bottoms[end] as number, bottom);
    } else {
      xs.push(x);
      tops.push(top);
      bottoms.push(bottom);
    }
  }
  close();
  return closed;
}

function outline(xs: number[], tops: number[], bottoms: number[]): number[] {
  const points: number[] = [];
  const wide = xs.length === 1 ? 1 : 0; // one window alone is a bar of two px
  xs.forEach((x, n) => points.push(x - wide, tops[n] as number));
  if (wide) points.push((xs[0] as number) + 1, tops[0] as number, (xs[0] as number) + 1, bottoms[0] as number);
  for (let n = xs.length - 1; n >= 0; n -= 1) points.push((xs[n] as number) - wide, bottoms[n] as number);
  return points;
}

/** The first index whose instant is at or after `at`; the length of `time` if there is none. */
export function indexAt(time: number[], at: number): number {
  let low = 0;
  let high = time.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((time[middle] as number) < at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The index nearest to an instant; -1 for no instants. */
export function nearest(time: number[], at: number): number {
  const after = indexAt(time, at);
  if (after === 0) return time.length ? 0 : -1;
  if (after === time.length) return after - 1;
  return at - (time[after - 1] as number) <= (time[after] as number) - at ? after - 1 : after;
}
