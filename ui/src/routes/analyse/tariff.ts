/**
 * A tariff: what a kWh costs, and when. In a URL: `CHF;0.2150;0.3250@1-5@06:00-22:00`: the currency, the price at all
 * times, then prices on weekdays (1 is Monday) from one time of day to another. The first window that applies counts.
 */
import { BadValue, type Field } from "$lib/url/query";
import { decimal } from "./decimal.ts";

export interface TariffWindow {
  price: string;
  /** 1 (Monday) to 7. */
  days: readonly number[];
  /** Minutes of the day: [from, to), over midnight where `to` is not after `from`. */
  from: number;
  to: number;
}

export interface Tariff {
  currency: string;
  price: string;
  windows: readonly TariffWindow[];
}

export const EXAMPLE: Tariff = { currency: "CHF", price: "0.22", windows: [{ price: "0.31", days: [1, 2, 3, 4, 5], from: 360, to: 1320 }] };

const HINT = "a tariff such as CHF;0.2150;0.3250@1-5@06:00-22:00";
const two = (value: number) => String(value).padStart(2, "0");

export const clockOf = (minutes: number): string => `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;

/** The minutes of "06:00" to "24:00"; null: it is no time of day. */
export function minutesOf(text: string): number | null {
  const parts = /^(\d{1,2}):(\d{2})$/.exec(text.trim());
  const minutes = parts ? Number(parts[1]) * 60 + Number(parts[2]) : NaN;
  return parts && Number(parts[2]) < 60 && minutes <= 1440 ? minutes : null;
}

function daysText(days: readonly number[]): string {
  const sorted = [...days].sort();
  const last = sorted[sorted.length - 1] ?? 0;
  const runs = sorted.length > 2 && last - (sorted[0] ?? 0) === sorted.length - 1;
  return runs ? `${sorted[0]}-${last}` : sorted.join(",");
}

function daysOf(text: string): number[] | null {
  const days = new Set<number>();
  for (const part of text.split(",")) {
    const ends = /^([1-7])(?:-([1-7]))?$/.exec(part);
    if (!ends) return null;
    for (let day = Number(ends[1]); day <= Number(ends[2] ?? ends[1]); day += 1) days.add(day);
  }
  return days.size ? [...days].sort() : null;
}

export function formatTariff(tariff: Tariff): string {
  const windows = tariff.windows.map(({ price, days, from, to }) => `${price}@${daysText(days)}@${clockOf(from)}-${clockOf(to)}`);
  return [tariff.currency, tariff.price, ...windows].join(";");
}

/** The tariff of a text; null: it is none. */
export function parseTariff(text: string): Tariff | null {
  const [currency = "", price = "", ...rest] = text.split(";");
  if (!/^[A-Za-z€$£]{1,4}$/.test(currency) || decimal(price) === null) return null;
  const windows: TariffWindow[] = [];
  for (const part of rest) {
    const [amount = "", days = "", span = ""] = part.split("@");
    const [start = "", end = ""] = span.split("-");
    const [from, to, on] = [minutesOf(start), minutesOf(end), daysOf(days)];
    if (decimal(amount) === null || from === null || to === null || on === null) return null;
    windows.push({ price: amount, days: on, from, to });
  }
  return { currency, price, windows };
}

export function tariffField(): Field<Tariff | null> {
  return {
    fallback: null,
    parse(texts) {
      const tariff = parseTariff(texts[texts.length - 1] ?? "");
      if (!tariff) throw new BadValue(HINT);
      return tariff;
    },
    format: (tariff) => (tariff ? [formatTariff(tariff)] : []),
  };
}
