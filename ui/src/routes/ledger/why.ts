/** Links to the story of a record's instant. */
import type { components } from "$lib/api/api";
import { href } from "$lib/url/match";
import type { Rejection } from "./ledger.svelte";

/** The story of the first value of a record; null where its time could not be read. */
export function whyOf(item: components["schemas"]["PayloadRecordItem"]): string | null {
  const point = item.points[0];
  if (point) return href("why", { series: point.series, time: point.time });
  const { time, tags } = item.item;
  return time ? href("why", { feed: item.feed, "tag.*": listed(tags), time }) : null;
}

/** The same of a row, without asking for the record. */
export function whyOfRow(row: Rejection): string | null {
  if (!row.time) return null;
  if (row.series[0]) return href("why", { series: row.series[0], time: row.time });
  const field = Object.keys(row.values ?? {})[0] ?? "";
  return href("why", { feed: row.feed, field, "tag.*": listed(row.tags ?? {}), time: row.time });
}

function listed(tags: Readonly<Record<string, string>>): Record<string, string[]> {
  return Object.fromEntries(Object.entries(tags).map(([name, value]) => [name, [value]]));
}
