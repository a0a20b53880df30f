/** The measures of a chart of bars that go up and down from one line, each way on its own scale; what a window is called. */

import { clock, day } from "$lib/format/time";
import { offsetText } from "$lib/format/zone";

/** "14:42 +01:00" of a window that begins at `ms`: with seconds where windows of `stepMs` need them, with the day in a long span. */
export function windowText(ms: number, stepMs: number, spanMs: number, zone: string): string {
  const date = spanMs > 86_400_000 ? `${day(ms, zone)} ` : "";
  return `${date}${clock(ms, zone, stepMs % 60_000 ? "second" : "minute")} ${offsetText(ms, zone)}`;
}

export interface BarScale {
  /** The largest value that is drawn in full. */
  top: number;
  /** Whether values above `top` are there: those bars are cut, and say so. */
  cut: boolean;
}

/** A round number at or above `value`: 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8 times a power of ten. 1 at least. */
export function roundUp(value: number): number {
  if (value <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((one) => value / power <= one * (1 + 1e-9)) ?? 10;
  return Math.ceil(step * power);
}

/** The scale of bars. Few windows that are many times all others (a backfill) would leave nothing of those to see: they
 *  are cut, when at least 5 bars are there and less than a fifth of them, or two, are over 6 times the others. */
export function barScale(values: readonly number[]): BarScale {
  const some = values.filter((value) => value > 0).sort((a, b) => a - b);
  const most = some[some.length - 1] ?? 0;
  const usual = some[Math.min(some.length - 3, Math.floor(some.length * 0.8))] ?? most;
  if (some.length >= 5 && most > usual * 6) return { top: roundUp(usual * 1.5), cut: true };
  return { top: roundUp(most), cut: false };
}

/** One path of all bars between `base` and `base - height` (`height` below 0: downward), in a box 1000 wide. */
export function barPath(values: readonly number[], scale: BarScale, base: number, height: number): string {
  const width = 1000 / values.length;
  const air = Math.min(1, width * 0.12);
  let path = "";
  for (const [n, value] of values.entries()) {
    if (value <= 0) continue;
    const share = Math.min(1, value / scale.top);
    // The least that came is seen: a bar is never thinner than 1.5 units.
    const size = Math.sign(height) * Math.max(1.5, Math.abs(height) * share);
    path += `M${(n * width + air).toFixed(1)} ${base}h${(width - 2 * air).toFixed(1)}v${(-size).toFixed(1)}h${(2 * air - width).toFixed(1)}z`;
  }
  return path;
}

/** Lines across the bars that are cut, one path. */
export function cutPath(values: readonly number[], scale: BarScale, base: number, height: number): string {
  if (!scale.cut) return "";
  const width = 1000 / values.length;
  const y = base - height + Math.sign(height) * 12;
  return values
    .map((value, n) => (value > scale.top ? `M${(n * width - 2).toFixed(1)} ${y + 4}l${(width + 4).toFixed(1)} -8` : ""))
    .join("");
}

/** A line through `values`, and the area below it, in a box of 120 x 24. */
export function sparkPaths(values: readonly number[]): { line: string; area: string } {
  const top = Math.max(...values, 1);
  const step = 120 / Math.max(1, values.length - 1);
  const points = values.map((value, n) => `${(n * step).toFixed(1)} ${(22 - (value / top) * 19).toFixed(1)}`);
  const line = `M${points.join("L")}`;
  return { line, area: `${line}L120 24L0 24Z` };
}
