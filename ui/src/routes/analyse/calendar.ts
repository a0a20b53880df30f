/** The days of a year as a table: seven rows (Monday first), a column for each week that it touches. */
import { monthName } from "$lib/format/time";

const DAY = 86_400_000;

/** The years of dates (YYYY-MM-DD), the newest first. */
export function yearsOf(dates: readonly string[]): number[] {
  return [...new Set(dates.map((date) => Number(date.slice(0, 4))))].sort((a, b) => b - a);
}

export interface YearGrid {
  /** Seven rows of dates; null: of another year. */
  dates: (string | null)[][];
  /** The month that begins in a column; 0: none does. */
  months: number[];
}

export function yearOf(year: number): YearGrid {
  const first = Date.UTC(year, 0, 1);
  const end = Date.UTC(year + 1, 0, 1);
  const monday = first - ((new Date(first).getUTCDay() + 6) % 7) * DAY;
  const weeks = Math.ceil((end - monday) / (7 * DAY));
  const dates = Array.from({ length: 7 }, (_, row) =>
    Array.from({ length: weeks }, (_, week) => {
      const at = monday + (week * 7 + row) * DAY;
      return at < first || at >= end ? null : new Date(at).toISOString().slice(0, 10);
    }),
  );
  const months = Array.from({ length: weeks }, (_, week) => {
    const day = dates.map((row) => row[week]).find((date) => date?.endsWith("-01"));
    return day ? Number(day.slice(5, 7)) : 0;
  });
  return { dates, months };
}

/** "29 Nov 2026" */
export function dayWords(date: string): string {
  return `${Number(date.slice(8, 10))} ${monthName(Number(date.slice(5, 7)))} ${date.slice(0, 4)}`;
}
