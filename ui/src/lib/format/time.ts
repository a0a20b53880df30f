/**
 * Instants, ranges and durations in words, in a time zone: 24 hours, the year where it is not this one. An instant is
 * nanoseconds since 1970 as a BigInt, read from RFC 3339 text: what is finer than a millisecond never passes through
 * `Date`. What is drawn has milliseconds, with a fraction. Ranges are `[start, end)`.
 */
import { DAY, HOUR, MINUTE, offsetText, SECOND, type Wall, wallAt } from "./zone.ts";

export type Ns = bigint;

const NS_A_MS = 1_000_000n;
const RFC3339 = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(Z|[+-]\d{2}:\d{2})$/;

/** Nanoseconds of RFC 3339 text (`2026-11-29T14:42:10.123456789+01:00`); null where it is none. */
export function instantNs(text: string): Ns | null {
  const parts = RFC3339.exec(text);
  if (!parts) return null;
  const [, day, minute, second = "00", fraction = "", offset] = parts;
  const ms = Date.parse(`${day}T${minute}:${second}${offset}`);
  return Number.isNaN(ms) ? null : BigInt(ms) * NS_A_MS + BigInt(fraction.padEnd(9, "0"));
}

/** Milliseconds, for what draws. */
export function toMs(ns: Ns): number {
  return Number(floorMs(ns));
}

function floorMs(ns: Ns): bigint {
  const down = ns / NS_A_MS;
  return ns < 0n && down * NS_A_MS !== ns ? down - 1n : down;
}

function fractionOf(ns: Ns): string {
  const second = 1_000_000_000n;
  const part = ((ns % second) + second) % second;
  return part.toString().padStart(9, "0").replace(/0+$/, "");
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** The short name of a month, 1 to 12. */
export function monthName(month: number): string {
  return MONTHS[month - 1] ?? "";
}

const two = (value: number) => String(value).padStart(2, "0");

export interface Parts {
  year: string;
  month: string;
  day: string;
  hour: string;
  minute: string;
  second: string;
  /** "+01:00"; "Z" for UTC. */
  offset: string;
}

/** The parts of an instant on the clock of a zone. */
export function partsOf(ms: number, zone: string): Parts {
  const { year, month, day, hour, minute, second } = wallAt(ms, zone);
  return { year: String(year), month: monthName(month), day: String(day), hour: two(hour), minute: two(minute), second: two(second), offset: offsetText(ms, zone) };
}

/** The zone of the browser, by its IANA name. */
export function browserZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

/** "29 Nov 14:42:10 +01:00"; the year when it is not this one; digits of a second only where there are any. */
export function instant(ns: Ns, zone: string, now = Date.now()): string {
  const ms = toMs(ns);
  return `${day(ms, zone, now)} ${clockOf(wallAt(ms, zone), fractionOf(ns))} ${offsetText(ms, zone)}`;
}

/** RFC 3339 text on the clock of a zone; `none` where it is null or no instant: by default the text itself. */
export function when(text: string | null | undefined, zone: string, none = text ?? "none"): string {
  const ns = text ? instantNs(text) : null;
  return ns === null ? none : instant(ns, zone);
}

/** The same to the second, for what is not told apart by fractions. */
export function whenToSecond(text: string | null | undefined, zone: string, none = text ?? "none"): string {
  return when(text?.replace(/\.\d+(?=Z|[+-])/, ""), zone, none);
}

/** The day as it is said: "29 Nov", "29 Nov 2025". */
export function day(ms: number, zone: string, now = Date.now()): string {
  const wall = wallAt(ms, zone);
  const year = wall.year === wallAt(now, zone).year ? "" : ` ${wall.year}`;
  return `${wall.day} ${monthName(wall.month)}${year}`;
}

function clockOf({ hour, minute, second }: Wall, fraction: string): string {
  return `${two(hour)}:${two(minute)}:${two(second)}${fraction ? `.${fraction}` : ""}`;
}

/** How exact a time of day has to be; tenths are of a second. */
export type Exact = "minute" | "second" | "tenth" | "fraction";

/** How exact times have to be to tell instants this far apart, in ms. */
export function exactFor(apart: number): Exact {
  return apart >= MINUTE ? "minute" : apart >= SECOND ? "second" : "fraction";
}

/** The same for the ends of a range: whole minutes stay minutes. */
function exactEnds(from: number, to: number, apart: number): Exact {
  return from % MINUTE === 0 && to % MINUTE === 0 ? "minute" : exactFor(apart);
}

/** The time of day: "14:42:10". */
export function clock(ms: number, zone: string, exact: Exact = "second"): string {
  const wall = wallAt(ms, zone);
  if (exact === "minute") return `${two(wall.hour)}:${two(wall.minute)}`;
  const fraction = ms - Math.floor(ms / SECOND) * SECOND;
  if (exact === "tenth") return clockOf(wall, String(Math.floor(fraction / 100)));
  const digits = Number.isInteger(fraction) ? 3 : 6;
  return clockOf(wall, exact === "fraction" && fraction ? (fraction / SECOND).toFixed(digits).slice(2) : "");
}

/** An instant that is drawn: "29 Nov 14:42 +01:00". */
export function instantText(ms: number, zone: string, exact: Exact = "minute"): string {
  return `${day(ms, zone)} ${clock(ms, zone, exact)} ${offsetText(ms, zone)}`;
}

/** A range `[start, end)`: "29 Nov 00:00 to 30 Nov 00:00 +01:00"; both offsets where they differ. */
export function range(startMs: number, endMs: number, zone: string, now = Date.now()): string {
  const offsets = [offsetText(startMs, zone), offsetText(endMs, zone)];
  const days = [day(startMs, zone, now), day(endMs, zone, now)];
  const from = `${days[0]} ${clock(startMs, zone, "minute")}${offsets[0] === offsets[1] ? "" : ` ${offsets[0]}`}`;
  return `${from} to ${days[0] === days[1] ? "" : `${days[1]} `}${clock(endMs, zone, "minute")} ${offsets[1]}`;
}

/** The range as its control shows it, with the zone beside: "29 Nov, 24 h", "29 Nov 10:15 to 11:18", "1 May to 4 Jun 2019". */
export function rangeLabel(from: number, to: number, zone: string): string {
  if (isMidnight(from, zone) && isMidnight(to, zone)) {
    const last = to - HOUR * 2;
    if (day(from, zone) === day(last, zone)) return `${day(from, zone)}, ${(to - from) / HOUR} h`;
    return `${shorterDay(from, last, zone)} to ${day(last, zone)}`;
  }
  const exact = exactEnds(from, to, (to - from) / 20);
  if (day(from, zone) === day(to, zone)) return `${day(from, zone)} ${clock(from, zone, exact)} to ${clock(to, zone, exact)}`;
  return days(from, to, zone, exact);
}

/** A span inside a view, such as a gap: clocks alone within one day. */
export function spanText(from: number, to: number, zone: string): string {
  const exact = exactEnds(from, to, (to - from) / 4);
  if (day(from, zone) === day(to, zone)) return `${clock(from, zone, exact)} to ${clock(to, zone, exact)}`;
  return days(from, to, zone, exact);
}

/** From one day to another; without clocks where it is long. */
function days(from: number, to: number, zone: string, exact: Exact): string {
  if (to - from > 20 * DAY) return `${shorterDay(from, to, zone)} to ${day(to, zone)}`;
  return `${day(from, zone)} ${clock(from, zone, exact)} to ${day(to, zone)} ${clock(to, zone, exact)}`;
}

/** The day of `from` without the year where that of `to` has the same. */
function shorterDay(from: number, to: number, zone: string): string {
  const [a, b] = [wallAt(from, zone), wallAt(to, zone)];
  return a.year === b.year ? `${a.day} ${monthName(a.month)}` : day(from, zone);
}

function isMidnight(ms: number, zone: string): boolean {
  const { hour, minute, second } = wallAt(ms, zone);
  return !hour && !minute && !second;
}

const SPANS: readonly [string, number][] = [
  ["d", 86_400],
  ["h", 3600],
  ["min", 60],
];

/** A duration: "11 h 16 min", "6 min", "38 s", "84 ms", "61 µs"; two parts at most. */
export function duration(seconds: number): string {
  const size = Math.abs(seconds);
  const sign = seconds < 0 ? "−" : "";
  if (size === 0) return "0 s";
  if (size < 1e-3) return `${sign}${Math.round(size * 1e6)} µs`;
  if (size < 0.0995) return `${sign}${Math.round(size * 1000)} ms`;
  if (size < 9.95) return `${sign}${Number(size.toFixed(1))} s`;
  if (size < 59.5) return `${sign}${Math.round(size)} s`;
  for (const [n, [unit, length]] of SPANS.entries()) {
    const next = SPANS[n + 1];
    const grain = next ? next[1] : 1;
    const whole = Math.round(size / grain) * grain;
    if (whole < length) continue;
    const rest = whole % length;
    const tail = rest === 0 || (unit === "min" && whole >= 600) ? "" : ` ${rest / grain} ${next ? next[0] : "s"}`;
    return `${sign}${Math.floor(whole / length)} ${unit}${tail}`;
  }
  return `${sign}${Math.round(size)} s`;
}

/** "14 min ago", "just now"; "in 38 s" for what is to come. Only beside the exact time (a title). */
export function ago(ms: number, now = Date.now()): string {
  const seconds = (now - ms) / 1000;
  if (Math.abs(seconds) < 1) return "just now";
  const text = roughly(Math.abs(seconds));
  return seconds > 0 ? `${text} ago` : `in ${text}`;
}

/** A duration in one unit: "38 s", "14 min", "3 h", "12 d". */
export function roughly(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const [unit, length] = SPANS.find(([, size]) => seconds >= size) ?? ["min", 60];
  return `${Math.floor(seconds / length)} ${unit}`;
}
