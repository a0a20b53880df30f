/** Instants, ranges, durations and values in words, in a zone. 24 hours; the year when it is not this one. */

import { monthName } from "./ticks.ts";
import { DAY, HOUR, MINUTE, offsetText, SECOND, wallAt } from "./zone.ts";

const two = (value: number) => String(value).padStart(2, "0");

/** How exact times have to be to tell instants this far apart. */
export type Exact = "minute" | "second" | "fraction";

export function exactFor(apart: number): Exact {
  return apart >= MINUTE ? "minute" : apart >= SECOND ? "second" : "fraction";
}

/** The same for the ends of a range: whole minutes stay minutes. */
function exactEnds(from: number, to: number, apart: number): Exact {
  return from % MINUTE === 0 && to % MINUTE === 0 ? "minute" : exactFor(apart);
}

export function dayText(ms: number, zone: string, now = Date.now()): string {
  const wall = wallAt(ms, zone);
  const year = wall.year === wallAt(now, zone).year ? "" : ` ${wall.year}`;
  return `${wall.day} ${monthName(wall.month)}${year}`;
}

export function clockText(ms: number, zone: string, exact: Exact = "minute"): string {
  const wall = wallAt(ms, zone);
  const minute = `${two(wall.hour)}:${two(wall.minute)}`;
  if (exact === "minute") return minute;
  const fraction = ms - Math.floor(ms / SECOND) * SECOND;
  const digits = Number.isInteger(fraction) ? 3 : 6;
  return `${minute}:${two(wall.second)}${exact === "fraction" && fraction ? (fraction / SECOND).toFixed(digits).slice(1) : ""}`;
}

/** "29 Nov 14:42 +01:00" */
export function instantText(ms: number, zone: string, exact: Exact = "minute"): string {
  return `${dayText(ms, zone)} ${clockText(ms, zone, exact)} ${offsetText(ms, zone)}`;
}

function isMidnight(ms: number, zone: string): boolean {
  const wall = wallAt(ms, zone);
  return !wall.hour && !wall.minute && !wall.second;
}

/** The range as its control shows it: "29 Nov, 24 h", "29 Nov 10:15 to 11:18", "1 May to 4 Jun 2019". */
export function rangeText(from: number, to: number, zone: string): string {
  const span = to - from;
  if (isMidnight(from, zone) && isMidnight(to, zone)) {
    const last = to - HOUR * 2;
    if (dayText(from, zone) === dayText(last, zone)) return `${dayText(from, zone)}, ${durationText(span)}`;
    return `${shorterDay(from, last, zone)} to ${dayText(last, zone)}`;
  }
  const exact = exactEnds(from, to, span / 20);
  if (dayText(from, zone) === dayText(to, zone)) return `${dayText(from, zone)} ${clockText(from, zone, exact)} to ${clockText(to, zone, exact)}`;
  if (span > 20 * DAY) return `${shorterDay(from, to, zone)} to ${dayText(to, zone)}`;
  return `${dayText(from, zone)} ${clockText(from, zone, exact)} to ${dayText(to, zone)} ${clockText(to, zone, exact)}`;
}

/** The day of `from` without the year where that of `to` has the same. */
function shorterDay(from: number, to: number, zone: string): string {
  const [a, b] = [wallAt(from, zone), wallAt(to, zone)];
  return a.year === b.year ? `${a.day} ${monthName(a.month)}` : dayText(from, zone);
}

/** The span of a gap inside a view: clocks alone within one day. */
export function spanText(from: number, to: number, zone: string): string {
  const exact = exactEnds(from, to, (to - from) / 4);
  const begin = clockText(from, zone, exact);
  if (dayText(from, zone) === dayText(to, zone)) return `${begin} to ${clockText(to, zone, exact)}`;
  if (to - from > 20 * DAY) return `${shorterDay(from, to, zone)} to ${dayText(to, zone)}`;
  return `${dayText(from, zone)} ${begin} to ${dayText(to, zone)} ${clockText(to, zone, exact)}`;
}

/** "11 h 16 min", the two largest units. */
export function durationText(ms: number): string {
  const parts: [number, string][] = [
    [365.2425 * DAY, "years"], [DAY, "days"], [HOUR, "h"], [MINUTE, "min"], [SECOND, "s"], [1, "ms"], [0.001, "µs"],
  ];
  if (ms >= 24 * HOUR && ms < 25.5 * HOUR && ms % HOUR === 0) return `${ms / HOUR} h`;
  for (const [n, [length, unit]] of parts.entries()) {
    if (ms < length * (1 - 1e-9)) continue;
    const whole = Math.floor(ms / length + 1e-9);
    const next = parts[n + 1];
    const rest = next ? Math.floor((ms - whole * length) / next[0] + 1e-9) : 0;
    const tail = next && rest ? ` ${rest} ${singular(next[1], rest)}` : "";
    return `${whole} ${singular(unit, whole)}${tail}`;
  }
  return "0 s";
}

function singular(unit: string, count: number): string {
  return count === 1 && unit.endsWith("s") && unit.length > 2 ? unit.slice(0, -1) : unit;
}

const formats = new Map<string, Intl.NumberFormat>();

function formatOf(options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = JSON.stringify(options);
  let format = formats.get(key);
  if (!format) formats.set(key, (format = new Intl.NumberFormat(undefined, options)));
  return format;
}

const minus = (text: string) => text.replace("-", "−");

/** A value with four significant digits, all digits of its whole part; "none" for null. */
export function valueText(value: number | null | undefined): string {
  if (value === null || value === undefined) return "none";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e15)) return minus(formatOf({ notation: "scientific", maximumSignificantDigits: 4 }).format(value));
  if (size >= 1000) return minus(formatOf({ maximumFractionDigits: 0 }).format(value));
  return minus(formatOf({ maximumSignificantDigits: 4 }).format(value));
}

/** The label of an axis whose ticks are `step` apart: as many digits as tell them apart. */
export function axisText(value: number, step: number): string {
  const size = Math.abs(value);
  if (size >= 1e5 || (size && size < 1e-4)) return minus(formatOf({ notation: size >= 1e15 || size < 1 ? "scientific" : "compact", maximumFractionDigits: 3 }).format(value));
  const digits = step > 0 ? Math.min(8, Math.max(0, -Math.floor(Math.log10(step) + 1e-9) + (isRound(step) ? 0 : 1))) : 4;
  return minus(formatOf(step > 0 ? { minimumFractionDigits: digits, maximumFractionDigits: digits } : { maximumFractionDigits: digits }).format(value));
}

/** Whether a step has one significant digit (2.5 has two). */
function isRound(step: number): boolean {
  const digit = step / 10 ** Math.floor(Math.log10(step) + 1e-9);
  return Math.abs(digit - Math.round(digit)) < 1e-6;
}

export function countText(count: number): string {
  return formatOf({ maximumFractionDigits: 0 }).format(count);
}

/** "a, b and c" */
export function listText(items: string[]): string {
  return items.length < 2 ? (items[0] ?? "") : `${items.slice(0, -1).join(", ")} and ${items[items.length - 1]}`;
}
