/** Ranges that are one click away, and what stands in the fields of a range. */

import type { Range } from "$lib/chart/model";
import { DAY, HOUR, instantOf, startOfDay, wallAt, wallMs } from "$lib/format/zone";
import { instantParameter } from "./requests.ts";

export interface QuickRange {
  label: string;
  from: string;
  to: string;
}

/** Up to now: they stay relative in the address bar. */
export const RECENT: QuickRange[] = [
  { label: "Last 15 min", from: "-15m", to: "now" },
  { label: "Last hour", from: "-1h", to: "now" },
  { label: "Last 24 h", from: "-24h", to: "now" },
  { label: "Last 7 days", from: "-7d", to: "now" },
  { label: "Last 30 days", from: "-30d", to: "now" },
  { label: "Last year", from: "-365d", to: "now" },
];

/** Days, weeks and months of the calendar of a zone, around `now`. */
export function calendarRanges(now: number, zone: string): QuickRange[] {
  const { year, month, day } = wallAt(now, zone);
  const at = (y: number, m: number, d: number) => {
    const date = new Date(Date.UTC(y, m - 1, d));
    return startOfDay(date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate(), zone);
  };
  const weekday = (new Date(Date.UTC(year, month - 1, day)).getUTCDay() + 6) % 7;
  const named = (label: string, from: number, to: number) => ({ label, from: instantParameter(from), to: instantParameter(to) });
  return [
    named("Today", at(year, month, day), at(year, month, day + 1)),
    named("Yesterday", at(year, month, day - 1), at(year, month, day)),
    named("This week", at(year, month, day - weekday), at(year, month, day - weekday + 7)),
    named("This month", at(year, month, 1), at(year, month + 1, 1)),
    named("Last month", at(year, month - 1, 1), at(year, month, 1)),
    named("This year", at(year, 1, 1), at(year + 1, 1, 1)),
  ];
}

/** "2026-11-29 14:42:10" on the clock of a zone; milliseconds where there are any. */
export function fieldText(ms: number, zone: string): string {
  const whole = wallMs(wallAt(ms, zone)) + (((Math.round(ms) % 1000) + 1000) % 1000);
  return new Date(whole).toISOString().replace("T", " ").replace("Z", "").replace(/\.000$/, "").replace(/:00$/, (end, at: number) => (at > 13 ? "" : end));
}

const FIELD = /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?)?$/;

/** The instant of a field: a day, a day and a time, or RFC 3339; null for what is none. */
export function fieldMs(text: string, zone: string): number | null {
  const trimmed = text.trim();
  const parts = FIELD.exec(trimmed);
  if (!parts) {
    const ms = /^\d{4}-/.test(trimmed) ? Date.parse(trimmed) : Number.NaN;
    return Number.isNaN(ms) ? null : ms;
  }
  const [, year, month, day, hour = "0", minute = "0", second = "0"] = parts;
  const date = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute)));
  if (date.getUTCMonth() !== Number(month) - 1 || Number(hour) > 23 || Number(minute) > 59 || Number(second) >= 60) return null;
  const whole = Math.floor(Number(second));
  return instantOf(date.getTime() + whole * 1000, zone) + (Number(second) - whole) * 1000;
}

/** The range beside one, as long as it: whole days of the calendar stay whole. */
export function beside(range: Range, step: 1 | -1, zone: string): Range {
  const { from, to } = range;
  const midnight = (ms: number) => {
    const wall = wallAt(ms, zone);
    return wall.hour === 0 && wall.minute === 0 && wall.second === 0;
  };
  const span = to - from;
  if (midnight(from) && midnight(to) && span > 20 * HOUR) {
    const days = Math.round(span / DAY);
    const wall = wallAt(step > 0 ? to : from, zone);
    const date = new Date(Date.UTC(wall.year, wall.month - 1, wall.day + step * days));
    const other = startOfDay(date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate(), zone);
    return step > 0 ? { from: to, to: other } : { from: other, to: from };
  }
  return { from: from + step * span, to: to + step * span };
}
