/**
 * Instants, in a time zone. An instant is nanoseconds since 1970 as a BigInt, read from RFC 3339 text: what is finer
 * than a millisecond never passes through `Date`. Ranges are `[start, end)`.
 */

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

/** RFC 3339 in UTC, with as many digits of a second as are needed. */
export function instantText(ns: Ns): string {
  const ms = floorMs(ns);
  const whole = new Date(Number(ms - (((ms % 1000n) + 1000n) % 1000n))).toISOString().slice(0, 19);
  const fraction = fractionOf(ns);
  return `${whole}${fraction ? `.${fraction}` : ""}Z`;
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

const ENGLISH = "en-GB";
const ZERO = new Set(["", "+00:00"]);
const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat(ENGLISH, {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "short",
      day: "numeric",
      weekday: "short",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      timeZoneName: "longOffset",
    });
    formats.set(zone, format);
  }
  return format;
}

export interface Parts {
  year: string;
  month: string;
  day: string;
  weekday: string;
  hour: string;
  minute: string;
  second: string;
  /** "+01:00"; "Z" for UTC. */
  offset: string;
}

/** The parts of an instant on the clock of a zone. */
export function partsOf(ms: number, zone: string): Parts {
  const parts: Record<string, string> = {};
  for (const { type, value } of formatOf(zone).formatToParts(ms)) parts[type] = value;
  const offset = (parts.timeZoneName ?? "").replace("GMT", "").replace("−", "-");
  const { year = "", month = "", day = "", weekday = "", hour = "", minute = "", second = "" } = parts;
  return { year, month: month.replace("Sept", "Sep"), day, weekday, hour, minute, second, offset: ZERO.has(offset) ? "Z" : offset };
}

/** The zone of the browser, by its IANA name. */
export function browserZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

/** "29 Nov 14:42:10 +01:00"; the year when it is not this one; digits of a second only where there are any. */
export function instant(ns: Ns, zone: string, now = Date.now()): string {
  const parts = partsOf(toMs(ns), zone);
  return `${dayOf(parts, zone, now)} ${clockOf(parts, fractionOf(ns))} ${parts.offset}`;
}

/** The day as it is said: "29 Nov", "29 Nov 2025". */
export function day(ms: number, zone: string, now = Date.now()): string {
  return dayOf(partsOf(ms, zone), zone, now);
}

function dayOf(parts: Parts, zone: string, now: number): string {
  const year = parts.year === partsOf(now, zone).year ? "" : ` ${parts.year}`;
  return `${parts.day} ${parts.month}${year}`;
}

function clockOf(parts: Parts, fraction: string): string {
  return `${parts.hour}:${parts.minute}:${parts.second}${fraction ? `.${fraction}` : ""}`;
}

/** The time of day: "14:42:10", with `digits` of a second. */
export function clock(ms: number, zone: string, digits = 0): string {
  const parts = partsOf(ms, zone);
  const fraction = digits ? String(((ms % 1000) + 1000) % 1000).padStart(3, "0").slice(0, digits) : "";
  return clockOf(parts, fraction);
}

/** Hour and minute: "14:42". */
export function hourMinute(ms: number, zone: string): string {
  const parts = partsOf(ms, zone);
  return `${parts.hour}:${parts.minute}`;
}

/** A range `[start, end)`: "29 Nov 00:00 to 30 Nov 00:00 +01:00"; both offsets where they differ. */
export function range(startMs: number, endMs: number, zone: string, now = Date.now()): string {
  const [start, end] = [partsOf(startMs, zone), partsOf(endMs, zone)];
  const offset = start.offset === end.offset ? "" : ` ${start.offset}`;
  const sameDay = start.day === end.day && start.month === end.month && start.year === end.year;
  const from = `${dayOf(start, zone, now)} ${start.hour}:${start.minute}${offset}`;
  const to = `${sameDay ? "" : `${dayOf(end, zone, now)} `}${end.hour}:${end.minute} ${end.offset}`;
  return `${from} to ${to}`;
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
