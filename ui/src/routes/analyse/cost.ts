/** What energy costs by a tariff: which of its windows applies, and the sums of each month. */
import { decimal, fixed, SCALE, times } from "./decimal.ts";
import type { Tariff } from "./tariff.ts";

/** Which window of a tariff applies on a weekday at a minute of the day; -1: none, the price of all times. */
export function windowAt(tariff: Tariff, weekday: number, minute: number): number {
  return tariff.windows.findIndex(({ days, from, to }) => {
    const inside = to > from ? minute >= from && minute < to : minute >= from || minute < to;
    return inside && days.includes(weekday);
  });
}

/** The length of windows of points that no edge of a tariff cuts: "1h", or "15m"; null: an edge is at neither. */
export function lengthFor(tariff: Tariff): "1h" | "15m" | null {
  const edges = tariff.windows.flatMap(({ from, to }) => [from, to]);
  return edges.every((edge) => edge % 60 === 0) ? "1h" : edges.every((edge) => edge % 15 === 0) ? "15m" : null;
}

/** Units of energy, as powers of ten of a kWh; of anything else undefined. */
export const KWH_POWER: Readonly<Record<string, number>> = { Wh: -3, kWh: 0, MWh: 3, GWh: 6 };

export interface MonthCost {
  /** "2026-11" */
  month: string;
  /** Energy by window of the tariff; the last one is the price of all times. Decimals of kWh. */
  energy: bigint[];
  /** Decimals with twice the scale. */
  cost: bigint;
}

/** Cost by month: `time` are local starts of windows (RFC 3339 with the offset of the zone), `energy` their sums. */
export function costByMonth(tariff: Tariff, unit: string, time: readonly string[], energy: readonly (number | null)[]): MonthCost[] {
  const power = KWH_POWER[unit] ?? 0;
  const prices = [...tariff.windows.map((window) => window.price), tariff.price].map((price) => decimal(price) ?? 0n);
  const months = new Map<string, MonthCost>();
  time.forEach((text, n) => {
    const value = energy[n];
    if (value === null || value === undefined) return;
    const kwh = decimal(`${value}`.includes("e") ? `${value}` : `${value}e0`);
    if (kwh === null) return;
    const scaled = power >= 0 ? kwh * 10n ** BigInt(power) : kwh / 10n ** BigInt(-power);
    const weekday = (new Date(`${text.slice(0, 10)}T00:00:00Z`).getUTCDay() + 6) % 7 + 1;
    const found = windowAt(tariff, weekday, Number(text.slice(11, 13)) * 60 + Number(text.slice(14, 16)));
    const slot = found < 0 ? prices.length - 1 : found;
    const key = text.slice(0, 7);
    const month = months.get(key) ?? { month: key, energy: prices.map(() => 0n), cost: 0n };
    month.energy[slot] = (month.energy[slot] ?? 0n) + scaled;
    month.cost += times(scaled, prices[slot] ?? 0n);
    months.set(key, month);
  });
  return [...months.values()].sort((a, b) => a.month.localeCompare(b.month));
}

export const money = (cost: bigint): string => fixed(cost, 2 * SCALE, 2);
export const kwhText = (energy: bigint): string => fixed(energy, SCALE, 3);
