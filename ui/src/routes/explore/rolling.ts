/** The rolling mean of windows, each weighed by its points; never over a gap. */

import type { Value } from "$lib/chart/model";

/** The mean of what lies in [at - length / 2, at + length / 2]. null where the series has a gap. */
export function rollingMean(time: number[], values: Value[], weights: (number | null)[] | null, length: number): Value[] {
  const result: Value[] = [];
  let first = 0;
  let last = 0;
  let sum = 0;
  let weight = 0;
  const weigh = (n: number): [number, number] => {
    const value = values[n];
    if (typeof value !== "number") return [0, 0];
    const count = weights ? (weights[n] ?? 0) : 1;
    return [value * count, count];
  };
  for (let n = 0; n < time.length; n += 1) {
    const at = time[n] as number;
    for (; last < time.length && (time[last] as number) <= at + length / 2; last += 1) {
      const [value, count] = weigh(last);
      sum += value;
      weight += count;
    }
    for (; first < last && (time[first] as number) < at - length / 2; first += 1) {
      const [value, count] = weigh(first);
      sum -= value;
      weight -= count;
    }
    result.push(typeof values[n] === "number" && weight > 0 ? sum / weight : (values[n] as null | undefined));
  }
  return result;
}
