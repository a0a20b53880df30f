/**
 * Offsets and wall clocks of IANA zones, by `Intl` alone. Instants are milliseconds since the epoch (a fraction is kept).
 * Says where a zone changes its offset, and which instant a wall clock shows; times in words are in `time.ts`.
 */

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** What a wall clock shows: month 1 to 12, day 1 to 31. */
export interface Wall {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat("en-US-u-ca-iso8601-nu-latn", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
    });
    formats.set(zone, format);
  }
  return format;
}

/** What the wall clock of a zone shows at an instant. */
export function wallAt(ms: number, zone: string): Wall {
  const date = new Date(Math.floor(ms));
  if (zone === "UTC") {
    return {
      year: date.getUTCFullYear(),
      month: date.getUTCMonth() + 1,
      day: date.getUTCDate(),
      hour: date.getUTCHours(),
      minute: date.getUTCMinutes(),
      second: date.getUTCSeconds(),
    };
  }
  const wall: Wall = { year: 0, month: 1, day: 1, hour: 0, minute: 0, second: 0 };
  for (const part of formatOf(zone).formatToParts(date)) {
    if (part.type in wall) wall[part.type as keyof Wall] = Number(part.value);
  }
  return wall;
}

/** The milliseconds that a wall clock would show as UTC. */
export function wallMs(wall: Wall): number {
  const date = new Date(0);
  date.setUTCFullYear(wall.year, wall.month - 1, wall.day);
  date.setUTCHours(wall.hour, wall.minute, wall.second, 0);
  return date.getTime();
}

/** How far the wall clock of a zone is ahead of UTC at an instant, in ms. */
export function offsetAt(ms: number, zone: string): number {
  if (zone === "UTC") return 0;
  const whole = Math.floor(ms / SECOND) * SECOND;
  return wallMs(wallAt(whole, zone)) - whole;
}

/** An interval [start, end) in which the offset of a zone does not change. */
export interface Segment {
  start: number;
  end: number;
  offset: number;
}

/** The segments of [start, end), in order. Zones that change twice within a day are seen once. */
export function segments(start: number, end: number, zone: string): Segment[] {
  const parts: Segment[] = [];
  let at = start;
  let offset = offsetAt(start, zone);
  for (let probe = start; probe < end; ) {
    const next = Math.min(probe + DAY, end);
    const after = offsetAt(next, zone);
    if (after !== offset) {
      const change = changeBetween(probe, next, offset, zone);
      parts.push({ start: at, end: change, offset });
      at = change;
      offset = after;
    }
    probe = next;
  }
  if (at < end) parts.push({ start: at, end, offset });
  return parts;
}

/** The first whole second in (low, high] at which the offset is no longer `offset`. */
function changeBetween(low: number, high: number, offset: number, zone: string): number {
  let before = Math.floor(low / SECOND);
  let after = Math.ceil(high / SECOND);
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    if (offsetAt(middle * SECOND, zone) === offset) before = middle;
    else after = middle;
  }
  return after * SECOND;
}

/**
 * The instant at which the clock of a zone shows `wall` (its ms as if it were UTC): the first of two, and where the clock
 * skips it, the instant at which the clock is put forward.
 */
export function instantOf(wall: number, zone: string): number {
  const candidates = [offsetAt(wall - DAY, zone), offsetAt(wall + DAY, zone)].map((offset) => wall - offset);
  const exact = candidates.filter((ms) => ms + offsetAt(ms, zone) === wall);
  if (exact.length) return Math.min(...exact);
  return changeBetween(wall - DAY, wall + DAY, offsetAt(wall - DAY, zone), zone);
}

/** The first instant of a local day. A day without midnight, as some zones have them, begins when its clock does. */
export function startOfDay(year: number, month: number, day: number, zone: string): number {
  return instantOf(wallMs({ year, month, day, hour: 0, minute: 0, second: 0 }), zone);
}

/** Whether the browser knows a zone. */
export function zoneExists(zone: string): boolean {
  try {
    formatOf(zone);
    return true;
  } catch {
    return false;
  }
}

/** "+01:00", and "Z" for that of UTC; seconds of old local times are kept: "+00:34:08". */
export function offsetText(ms: number, zone: string): string {
  const offset = Math.round(offsetAt(ms, zone) / SECOND);
  if (offset === 0) return "Z";
  const two = (value: number) => String(value).padStart(2, "0");
  const size = Math.abs(offset);
  const seconds = size % 60 ? `:${two(size % 60)}` : "";
  return `${offset < 0 ? "-" : "+"}${two(Math.floor(size / 3600))}:${two(Math.floor((size % 3600) / 60))}${seconds}`;
}
