/** What the query of Explore says, read: series with their axis and shape, the y axis, overlays, windows. */

import type { YChoice } from "$lib/chart/scale";

export const MOST_SERIES = 8;

export interface ChosenSeries {
  id: string;
  axis: 2 | null;
  step: boolean;
}

/** `id`, `id.axis2`, `id.step`, `id.axis2.step`; the first of several entries of one series counts. */
export function parseSeries(entries: readonly string[]): ChosenSeries[] {
  const byId = new Map<string, ChosenSeries>();
  for (const entry of entries) {
    const [id = "", ...words] = entry.split(".");
    if (id && !byId.has(id)) byId.set(id, { id, axis: words.includes("axis2") ? 2 : null, step: words.includes("step") });
  }
  return [...byId.values()];
}

export function formatSeries(chosen: readonly ChosenSeries[]): string[] {
  return chosen.map((item) => `${item.id}${item.axis ? ".axis2" : ""}${item.step ? ".step" : ""}`);
}

/** `auto`, `zero`, `log`, `lo..hi`; null for what is none of them. */
export function parseY(text: string): YChoice | null {
  if (text === "" || text === "auto") return "auto";
  if (text === "zero" || text === "log") return text;
  const parts = /^(-?[\d.]+(?:e[-+]?\d+)?)\.\.(-?[\d.]+(?:e[-+]?\d+)?)$/i.exec(text);
  if (!parts) return null;
  const [low, high] = [Number(parts[1]), Number(parts[2])];
  return Number.isFinite(low) && Number.isFinite(high) && low < high ? { low, high } : null;
}

export function formatY(choice: YChoice): string {
  if (typeof choice === "object") return `${choice.low}..${choice.high}`;
  return choice === "auto" ? "" : choice;
}

/** Aggregates of windows that can be drawn; each is drawn with the extremes of its window. */
export const AGGREGATES = ["mean", "median", "min", "max", "first", "last", "sum", "count", "stddev", "p05", "p95", "increase", "rate"] as const;

/** Lengths of windows that the control offers; the server takes any. */
export const LENGTHS = ["1s", "10s", "1m", "5m", "15m", "30m", "1h", "3h", "6h", "12h", "1d", "1w", "1mo", "3mo", "1y"] as const;

const LENGTH = /^(\d+)(us|ms|s|m|h|d|w|mo|q|y)$/;
const NAMES: Record<string, [string, number]> = {
  us: ["µs", 1e-3], ms: ["ms", 1], s: ["s", 1e3], m: ["min", 6e4], h: ["h", 36e5], d: ["day", 864e5], w: ["week", 6048e5],
  mo: ["month", 2629746e3], q: ["quarter", 7889238e3], y: ["year", 31556952e3],
};

/** The usual length of a window in ms; null for what is none. */
export function lengthMs(every: string): number | null {
  const parts = LENGTH.exec(every);
  return parts ? Number(parts[1]) * (NAMES[parts[2] as string]?.[1] ?? 0) : null;
}

/** "3 min", "1 day", "2 weeks" */
export function lengthText(every: string): string {
  const parts = LENGTH.exec(every);
  if (!parts) return every;
  const name = NAMES[parts[2] as string]?.[0] ?? "";
  return `${parts[1]} ${name}${name.length > 3 && parts[1] !== "1" ? "s" : ""}`;
}

/** The length of windows of a rolling mean: `rolling:1h`; null where none is shown. */
export function rollingOf(show: readonly string[]): string | null {
  const word = show.find((item) => item === "rolling" || item.startsWith("rolling:"));
  return word === undefined ? null : (word.split(":")[1] ?? "1h");
}

/** What the list of series is asked with for a search: `q`, and the last value of each facet. */
export function searchOf(q: string, facets: Readonly<Record<string, readonly string[]>>): URLSearchParams {
  const search = new URLSearchParams(q ? { q } : {});
  for (const [name, values] of Object.entries(facets)) if (values.length) search.set(name, values.at(-1) ?? "");
  return search;
}

/** The search whose series are averaged: `mean:feed=pumps`; null where none is. */
export function meanSearch(show: readonly string[]): string | null {
  return show.find((item) => item.split(":")[0] === "mean")?.slice(5) ?? null;
}

export function withShown(show: readonly string[], word: string, on: boolean, argument = ""): string[] {
  const rest = show.filter((item) => item.split(":")[0] !== word);
  return on ? [...rest, argument ? `${word}:${argument}` : word] : rest;
}

/** Colours 1 to 8: a series keeps its own while it is shown, a new one takes the first that is free. */
export function assignColours(ids: readonly string[], before: ReadonlyMap<string, number>): Map<string, number> {
  const colours = new Map<string, number>();
  for (const id of ids) {
    const kept = before.get(id);
    if (kept !== undefined) colours.set(id, kept);
  }
  const taken = new Set(colours.values());
  for (const id of ids) {
    if (colours.has(id)) continue;
    let free = 1;
    while (taken.has(free) && free < MOST_SERIES) free += 1;
    taken.add(free);
    colours.set(id, free);
  }
  return colours;
}
