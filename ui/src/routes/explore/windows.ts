/** How many windows a chart asks for, and when it asks for the points themselves instead. */

import { lengthMs } from "./choice.ts";

/** Windows for a plot of so many px: one for about 1.8 px, by steps, so that answers are asked for once. */
export function windowsFor(width: number): number {
  return Math.max(60, Math.min(1200, Math.ceil(width / 240) * 130));
}

/** What is asked for: points, or windows of a length (null: the server picks it, for at most `windows`). */
export type Question = { kind: "points" } | { kind: "windows"; every: string | null; windows: number };

/**
 * `every` is what was chosen: "" for automatic, "raw" for points. Automatic shows points once there is at most one for
 * a px, by the density of the series as it was last seen.
 */
export function questionFor(every: string, span: number, width: number, perMs: number | null): Question {
  if (every === "raw") return { kind: "points" };
  if (every !== "" && lengthMs(every) !== null) return { kind: "windows", every, windows: 0 };
  if (perMs !== null && perMs * span <= width) return { kind: "points" };
  return { kind: "windows", every: null, windows: windowsFor(width) };
}

/** The largest number of points a ms among series; 0 where a point stands alone, null where nothing is known. */
export function densest(series: { count: number; from: number; to: number }[]): number | null {
  let most: number | null = null;
  for (const { count, from, to } of series) {
    if (count === 0) continue;
    const perMs = count > 1 && to > from ? count / (to - from) : 0;
    if (most === null || perMs > most) most = perMs;
  }
  return most;
}
