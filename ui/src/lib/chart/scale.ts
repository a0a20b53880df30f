/** A y axis: its range, its ticks and their labels. */

import { localNumber } from "$lib/format/numbers";
import type { ChartModel, Value } from "./model.ts";
import { indexAt } from "./envelope.ts";

export type YChoice = "auto" | "zero" | "log" | { low: number; high: number };

/** The smallest and largest values of series in [from, to], with envelopes; null for none. */
export function extent(model: ChartModel, series: Set<string>, from: number, to: number, extra: number[] = []): [number, number] | null {
  // one point beyond each edge: lines go out of view to it
  const first = Math.max(0, indexAt(model.time, from) - 1);
  const last = Math.min(model.time.length - 1, indexAt(model.time, to));
  let low = Infinity;
  let high = -Infinity;
  const look = (values: Value[] | null) => {
    if (!values) return;
    for (let n = first; n <= last; n += 1) {
      const value = values[n];
      if (value === null || value === undefined) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  };
  for (const item of model.series) {
    if (!series.has(item.id)) continue;
    look(item.values);
    look(item.min);
    look(item.max);
  }
  for (const value of extra) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : null;
}

/** The extent with room for rejected values, as far as they are no further off than the extent is long. */
export function withRejected(drawn: [number, number] | null, values: number[]): [number, number] | null {
  if (!drawn) return drawn;
  const [low, high] = drawn;
  const most = high - low || Math.abs(high) || 1;
  const near = values.filter((value) => value >= low - most && value <= high + most);
  return [Math.min(low, ...near), Math.max(high, ...near)];
}

/** The range of an axis: with `auto` 6 % of air, with `zero` from or to 0, with `log` whole below and above. */
export function axisRange(found: [number, number] | null, choice: YChoice): [number, number] {
  if (typeof choice === "object") return [choice.low, choice.high];
  if (!found) return choice === "log" ? [1, 10] : [0, 1];
  let [low, high] = found;
  if (choice === "log") {
    if (high <= 0) return [1, 10];
    return [low > 0 ? low / 1.15 : high / 1000, high * 1.15];
  }
  if (choice === "zero") [low, high] = [Math.min(low, 0), Math.max(high, 0)];
  if (low === high) {
    const air = Math.abs(low) * 0.06 || 1;
    return [low - air, high + air];
  }
  const air = (high - low) * 0.06;
  return [choice === "zero" && low === 0 ? 0 : low - air, choice === "zero" && high === 0 ? 0 : high + air];
}

/** Round values of an axis, about `apart` px from each other. */
export function valueTicks(low: number, high: number, height: number, apart = 44): number[] {
  if (!(high > low) || height <= 0) return [];
  const rough = (high - low) / Math.max(1, Math.floor(height / apart));
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough * (1 - 1e-9)) ?? 10 * power;
  const ticks: number[] = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high * (1 + 1e-12) + 1e-12; n += 1) ticks.push(Number((n * step).toPrecision(12)));
  return ticks;
}

/** Powers of ten (with 2 and 5 between them where there are few). */
export function logTicks(low: number, high: number): number[] {
  const ticks: number[] = [];
  const few = Math.log10(high / low) < 2.5;
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const factor of few ? [1, 2, 5] : [1]) {
      const value = factor * 10 ** power;
      if (value >= low && value <= high) ticks.push(value);
    }
  }
  return ticks;
}

/** The label of an axis whose ticks are `step` apart: as many digits as tell them apart. */
export function axisText(value: number, step: number): string {
  const size = Math.abs(value);
  if (size >= 1e5 || (size && size < 1e-4)) return localNumber(value, { notation: size >= 1e15 || size < 1 ? "scientific" : "compact", maximumFractionDigits: 3 });
  const digits = step > 0 ? Math.min(8, Math.max(0, -Math.floor(Math.log10(step) + 1e-9) + (isRound(step) ? 0 : 1))) : 4;
  return localNumber(value, step > 0 ? { minimumFractionDigits: digits, maximumFractionDigits: digits } : { maximumFractionDigits: digits });
}

/** Whether a step has one significant digit (2.5 has two). */
function isRound(step: number): boolean {
  const digit = step / 10 ** Math.floor(Math.log10(step) + 1e-9);
  return Math.abs(digit - Math.round(digit)) < 1e-6;
}
