/**
 * Ticks of a time axis in a zone: on the zone's own clock, also across a change of it, with labels of 24 hours.
 * A label says only what changed since the tick before: the day at midnight, the year in January.
 */

import { monthName } from "$lib/format/time";
import { DAY, HOUR, MINUTE, SECOND, segments, startOfDay, wallAt, type Wall } from "$lib/format/zone";

export interface Tick {
  /** Milliseconds since the epoch. */
  at: number;
  label: string;
  /** Whether a larger unit begins here: a day among hours, a year among months. */
  major: boolean;
}

type Unit = "ms" | "day" | "month" | "year";
interface Step {
  unit: Unit;
  count: number;
  /** The usual length in ms. */
  length: number;
}

const YEAR = 365.2425 * DAY;
const fixed = (...lengths: number[]): Step[] => lengths.map((length) => ({ unit: "ms", count: length, length }));
const STEPS: Step[] = [
  ...fixed(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500),
  ...fixed(SECOND, 2 * SECOND, 5 * SECOND, 10 * SECOND, 15 * SECOND, 30 * SECOND),
  ...fixed(MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE),
  ...fixed(HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR),
  ...[1, 2, 7, 14].map((count): Step => ({ unit: "day", count, length: count * DAY })),
  ...[1, 2, 3, 6].map((count): Step => ({ unit: "month", count, length: (count * YEAR) / 12 })),
  ...[1, 2, 5, 10, 20, 50, 100].map((count): Step => ({ unit: "year", count, length: count * YEAR })),
];

/** Ticks of [start, end] on an axis of `width` px, at least `apart` px from each other. Empty for an empty range. */
export function timeTicks(start: number, end: number, width: number, zone: string, apart = 76): Tick[] {
  if (!(end > start) || width <= 0) return [];
  const most = Math.max(1, Math.floor(width / apart));
  const step = STEPS.find((item) => (end - start) / item.length <= most) ?? STEPS[STEPS.length - 1];
  if (!step) return [];
  const instants = step.unit === "ms" ? clockInstants(start, end, step.length, zone) : dateInstants(start, end, step, zone);
  return instants.map((at) => label(at, step, zone));
}

/** Instants at which the clock of the zone shows a multiple of `length`. */
function clockInstants(start: number, end: number, length: number, zone: string): number[] {
  const instants: number[] = [];
  for (const part of segments(start, end + 1, zone)) {
    // counted in whole steps from the segment's first one, so that fractions of a ms do not add up
    const first = Math.ceil((part.start + part.offset) / length - 1e-9);
    for (let n = first; ; n += 1) {
      const at = n * length - part.offset;
      if (at >= part.end || at > end) break;
      instants.push(at);
    }
  }
  return instants;
}

/** Local midnights: of each `count` days of a month, months of a year, or years. */
function dateInstants(start: number, end: number, step: Step, zone: string): number[] {
  const wall = wallAt(start, zone);
  const instants: number[] = [];
  const add = (year: number, month: number, day: number): boolean => {
    const at = startOfDay(year, month, day, zone);
    if (at >= start && at <= end) instants.push(at);
    return at <= end;
  };
  if (step.unit === "day") {
    let { year, month } = wall;
    for (;;) {
      const days = new Date(Date.UTC(year, month, 0)).getUTCDate();
      // no tick closer to the first of the next month than half a step
      for (let day = 1; day <= days; day += step.count) {
        if (day > 1 && days - day + 1 < step.count / 2) break;
        if (!add(year, month, day)) return instants;
      }
      [year, month] = month === 12 ? [year + 1, 1] : [year, month + 1];
    }
  }
  const months = step.unit === "month" ? step.count : 12 * step.count;
  let number = Math.floor((wall.year * 12 + wall.month - 1) / months) * months;
  while (add(Math.floor(number / 12), (number % 12) + 1, 1)) number += months;
  return instants;
}

function label(at: number, step: Step, zone: string): Tick {
  const wall = wallAt(at, zone);
  if (step.unit === "year") return { at, label: String(wall.year), major: false };
  if (step.unit === "month") {
    return wall.month === 1 ? { at, label: String(wall.year), major: true } : { at, label: monthName(wall.month), major: false };
  }
  const day = `${wall.day} ${monthName(wall.month)}`;
  if (step.unit === "day") {
    const newYear = wall.month === 1 && wall.day === 1;
    return { at, label: newYear ? String(wall.year) : day, major: newYear || wall.day === 1 };
  }
  const fraction = at - Math.floor(at / SECOND) * SECOND;
  if (!wall.hour && !wall.minute && !wall.second && fraction < 1e-6) return { at, label: day, major: true };
  return { at, label: clock(wall, fraction, step.length), major: false };
}

function clock(wall: Wall, fraction: number, length: number): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const minute = `${two(wall.hour)}:${two(wall.minute)}`;
  if (length >= MINUTE) return minute;
  if (length < SECOND && fraction > 1e-6) {
    const digits = Math.max(3, Math.min(6, 3 - Math.floor(Math.log10(Math.min(length, 1)) + 1e-9)));
    return (fraction / SECOND).toFixed(digits).slice(1);
  }
  return wall.second || length < SECOND ? (wall.second ? `:${two(wall.second)}` : minute) : minute;
}
