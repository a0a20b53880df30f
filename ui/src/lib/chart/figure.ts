/** What a figure that is no chart of a range is drawn from: layers over one x axis, as paths of an SVG in pixels. */

import { logTicks, valueTicks } from "./scale.ts";

export type Numbers = readonly (number | null)[];

/** `lower` of a band is its lower edge; of bars and areas what they stand on (0 without). */
export interface Layer {
  kind: "line" | "area" | "bars" | "stems" | "band" | "dots";
  values: Numbers;
  lower?: Numbers;
  /** A token of colour: "s1", "soft". */
  colour: string;
  /** In the legend and in the table; without one in neither. */
  name?: string;
  dashed?: boolean;
}

/** A place on the x axis that is named: a peak, a period, a change. */
export interface Sign {
  x: number;
  text: string;
}

export interface Scale {
  low: number;
  high: number;
  log: boolean;
  /** Pixels of `low` and of `high`. */
  from: number;
  to: number;
}

export function place({ low, high, log, from, to }: Scale, value: number): number {
  const share = log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low || 1);
  return from + share * (to - from);
}

/** The smallest and the largest of some values; null: there is none. With `log` of those above 0. */
export function extremes(lists: readonly Numbers[], log: boolean): [number, number] | null {
  let low = Infinity;
  let high = -Infinity;
  for (const list of lists) {
    for (const value of list) {
      if (value === null || (log && value <= 0)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return low <= high ? [low, high] : null;
}

/** The range of a y axis: 0 is in it with `zero` (then a side that ends at 0 has no air), else 6 % of air. */
export function yRange(layers: readonly Layer[], log: boolean, zero: boolean): [number, number] {
  const standing = zero || layers.some((layer) => ["bars", "stems", "area"].includes(layer.kind));
  const known = extremes(layers.flatMap((layer) => (layer.lower ? [layer.values, layer.lower] : [layer.values])), log);
  if (!known) return log ? [1, 10] : [0, 1];
  let [low, high] = known;
  if (log) return [Math.max(low, high * 1e-9) / 1.3, high * 1.6];
  if (standing) [low, high] = [Math.min(0, low), Math.max(0, high)];
  const air = (high - low) * 0.06 || Math.abs(low) * 0.06 || 1;
  return [standing && low === 0 ? 0 : low - air, standing && high === 0 ? 0 : high + air];
}

export function ticksOf({ low, high, log, from, to }: Scale, apart: number): number[] {
  return log ? logTicks(low, high) : valueTicks(low, high, Math.abs(to - from), apart);
}

/** Half the distance of neighbours: bars reach so far to both sides. */
function halfStep(x: readonly number[], n: number): number {
  const before = n > 0 ? (x[n] as number) - (x[n - 1] as number) : Infinity;
  const after = n < x.length - 1 ? (x[n + 1] as number) - (x[n] as number) : Infinity;
  const step = Math.min(before, after);
  return Number.isFinite(step) ? step / 2 : 0.5;
}

const at = (value: number) => value.toFixed(1);

/** The path of a layer. A line ends before a null, and goes on behind it. */
export function pathOf(layer: Layer, x: readonly number[], xs: Scale, ys: Scale): string {
  const px = (n: number) => place(xs, x[n] as number);
  const py = (value: number) => place(ys, ys.log ? Math.max(value, ys.low) : value);
  const ground = py(ys.log ? ys.low : Math.min(Math.max(0, ys.low), ys.high));
  const foot = (n: number) => (layer.lower?.[n] === null || layer.lower?.[n] === undefined ? ground : py(layer.lower[n]));
  const usable = (value: number | null | undefined): value is number => typeof value === "number" && (!ys.log || value > 0);
  const { kind, values } = layer;
  if (kind === "line") return linePath(values.map((value, n) => (usable(value) && !(xs.log && (x[n] as number) <= 0) ? [px(n), py(value)] : null)));
  if (kind === "area" || kind === "band") return surfacePath(values, usable, px, py, foot);
  let path = "";
  values.forEach((value, n) => {
    if (!usable(value)) return;
    const [left, top] = [px(n), py(value)];
    if (kind === "stems") path += `M${at(left)} ${at(ground)}V${at(top)}`;
    else if (kind === "dots") path += `M${at(left - 3)} ${at(top)}a3 3 0 1 0 6 0a3 3 0 1 0 -6 0`;
    else {
      const half = (halfStep(x, n) / (xs.high - xs.low)) * Math.abs(xs.to - xs.from);
      const air = Math.min(1, half * 0.12);
      path += `M${at(left - half + air)} ${at(foot(n))}H${at(left + half - air)}V${at(top)}H${at(left - half + air)}z`;
    }
  });
  return path;
}

/** A line through points; of many within one pixel the first, the extremes and the last. */
function linePath(points: readonly ([number, number] | null)[]): string {
  let path = "";
  let pen = false;
  let column = NaN;
  let seen: [number, number] | null = null;
  const flush = () => {
    if (seen && seen[0] !== seen[1]) path += `L${at(column)} ${at(seen[0])}L${at(column)} ${at(seen[1])}`;
    seen = null;
  };
  for (const point of points) {
    if (!point) {
      flush();
      pen = false;
      column = NaN;
      continue;
    }
    const [x, y] = point;
    if (pen && Math.round(x) === column) {
      seen = seen ? [Math.min(seen[0], y), Math.max(seen[1], y)] : [y, y];
      continue;
    }
    flush();
    path += `${pen ? "L" : "M"}${at(x)} ${at(y)}`;
    // A point between two gaps is seen as well.
    if (!pen) path += "h.01";
    pen = true;
    column = Math.round(x);
    seen = [y, y];
  }
  flush();
  return path;
}

function surfacePath(
  values: Numbers, usable: (value: number | null | undefined) => value is number,
  px: (n: number) => number, py: (value: number) => number, foot: (n: number) => number,
): string {
  let path = "";
  let run: number[] = [];
  const close = () => {
    if (run.length > 1) {
      path += `M${run.map((n) => `${at(px(n))} ${at(py(values[n] as number))}`).join("L")}`;
      path += `L${run.reverse().map((n) => `${at(px(n))} ${at(foot(n))}`).join("L")}z`;
    }
    run = [];
  };
  values.forEach((value, n) => (usable(value) ? run.push(n) : close()));
  close();
  return path;
}

/** The index of the value nearest to `wanted` in ascending values. */
export function nearestIndex(x: readonly number[], wanted: number): number {
  let low = 0;
  let high = x.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((x[middle] as number) <= wanted) low = middle;
    else high = middle;
  }
  return Math.abs((x[high] as number) - wanted) < Math.abs((x[low] as number) - wanted) ? high : low;
}
