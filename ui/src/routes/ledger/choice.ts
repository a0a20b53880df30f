/** From what the URL holds to what the API is asked. */
import type { Asked } from "$lib/replay/replay.svelte";
import type { QueryOf } from "$lib/url/match";
import { momentMs, rfc3339 } from "$lib/url/moment";

export type LedgerQuery = QueryOf<"ledger">;

export interface Range {
  from: number;
  to: number;
}

const RECOVERED = { no: "without", yes: "only", all: "with" } as const;

/** The range of the URL in ms; null where it names one payload or replay's worth and no range was chosen. */
export function rangeOf(query: LedgerQuery, now: number): Range {
  const from = momentMs(query.from, now) ?? now - 86_400_000;
  return { from, to: Math.max(from + 1, momentMs(query.to, now) ?? now) };
}

/** Whether the range narrows what is shown: not where one payload is chosen and the range is none of its own. */
export function hasRange(query: LedgerQuery): boolean {
  return query.receipt === "" || query.from !== "-24h" || query.to !== "now";
}

/** The parameters of `/v1/rejections` and its summary, without those of `but`. */
export function parameters(query: LedgerQuery, range: Range, but: readonly ("feed" | "reason" | "tags")[] = []): URLSearchParams {
  const asked = new URLSearchParams();
  if (query.feed && !but.includes("feed")) asked.set("feed", query.feed);
  if (!but.includes("reason")) for (const reason of query.reason) asked.append("reason", reason);
  if (!but.includes("tags")) {
    for (const [name, values] of Object.entries(query["tag.*"])) if (values[0]) asked.set(`tag.${name}`, values[0]);
  }
  if (query.series) asked.set("series", query.series);
  if (query.receipt) asked.set("receipt", query.receipt);
  if (RECOVERED[query.recovered] !== "without") asked.set("recovered", RECOVERED[query.recovered]);
  if (hasRange(query)) {
    const prefix = query.by === "time" ? "time_" : "";
    asked.set(`${prefix}start`, rfc3339(range.from));
    asked.set(`${prefix}end`, rfc3339(range.to));
  }
  return asked;
}

/** The same with more parameters, as a path. */
export function path(base: string, asked: URLSearchParams, more: Readonly<Record<string, string>> = {}): string {
  const all = new URLSearchParams(asked);
  for (const [key, value] of Object.entries(more)) all.set(key, value);
  const text = all.toString().replaceAll("%3A", ":").replaceAll("%2C", ",");
  return text ? `${base}?${text}` : base;
}

export interface Key {
  receipt: string;
  index: number;
}

export const keyText = (key: Key): string => `${key.receipt}:${key.index}`;

/** `receipt:index` of the URL; null where it is none. */
export function keyOf(text: string): Key | null {
  const parts = /^(.+):(\d+)$/.exec(text);
  return parts ? { receipt: parts[1] as string, index: Number(parts[2]) } : null;
}

/** What a replay of these very records is asked with. */
export function askedOf(keys: readonly Key[]): Asked {
  return { rejections: { items: keys.map(({ receipt, index }) => ({ receipt, index })) } };
}
