/** What the ledger shows: counts by time and facet, the rows that were fetched, which of them are chosen. */
import type { components } from "$lib/api/api";
import { json } from "$lib/api/client";
import { Read } from "$lib/api/read.svelte";
import { beginsOf, stepOf } from "$lib/chart/stack";
import { byClass, CLASSES, type LedgerClass } from "$lib/ledger/classes";
import { keyText, type LedgerQuery, parameters, path, type Range, rangeOf, hasRange } from "./choice";

export type Rejection = components["schemas"]["Rejection"];
type Summary = components["schemas"]["RejectionSummary"];
type Facet = { value: string; count: number };

/** Rows of one answer, and how many are chosen at most at once. */
const PAGE = 200;
export const MOST_CHOSEN = 5000;

export interface Counts {
  query: LedgerQuery;
  range: Range;
  stepMs: number;
  times: number[];
  classes: Record<LedgerClass, number[]>;
  total: number;
  /** Records received in the range, of the feed where one is chosen; null: not counted by that time. */
  received: number | null;
  accepted: number | null;
  recovered: number;
  feeds: Facet[];
  reasons: Facet[];
  tags: Record<string, Facet[]>;
}

async function get<T>(url: string, signal: AbortSignal): Promise<T> {
  return json<T>(url, { signal });
}

export class Ledger {
  rows: Rejection[] = $state.raw([]);
  next: string | null = $state(null);
  chosen: ReadonlySet<string> = $state.raw(new Set<string>());
  readonly counts: Read<Counts>;
  readonly page: Read<null>;
  #more = false;
  readonly #query: () => LedgerQuery;
  #range: Range = { from: 0, to: 0 };

  constructor(query: () => LedgerQuery) {
    this.#query = query;
    this.counts = new Read((signal) => this.#count(signal));
    this.page = new Read((signal) => this.#fetch(signal));
  }

  /** Ask everything anew; what is chosen is let go. */
  async run(): Promise<void> {
    this.#range = rangeOf(this.#query(), Date.now());
    this.#more = false;
    this.chosen = new Set();
    await Promise.all([this.counts.run(), this.page.run()]);
  }

  async more(): Promise<void> {
    if (!this.next) return;
    this.#more = true;
    await this.page.refresh();
    this.#more = false;
  }

  /** All that match, up to MOST_CHOSEN. */
  async chooseAll(): Promise<void> {
    while (this.next && this.rows.length < MOST_CHOSEN) {
      await this.more();
      if (this.page.problem) return;
    }
    this.chosen = new Set(this.rows.slice(0, MOST_CHOSEN).map(keyText));
  }

  stop(): void {
    this.counts.stop();
    this.page.stop();
  }

  async #fetch(signal: AbortSignal): Promise<null> {
    const more: Record<string, string> = this.#more && this.next ? { cursor: this.next } : {};
    const asked = path("/v1/rejections", parameters(this.#query(), this.#range), { limit: String(PAGE), ...more });
    const answer = await get<components["schemas"]["RejectionPage"]>(asked, signal);
    this.rows = this.#more ? [...this.rows, ...answer.items] : answer.items;
    this.next = answer.next;
    return null;
  }

  async #count(signal: AbortSignal): Promise<Counts> {
    const [query, range] = [this.#query(), this.#range];
    const step = stepOf(range.to - range.from);
    const summary = (by: string, but: Parameters<typeof parameters>[2], more: Record<string, string> = {}) =>
      get<Summary>(path("/v1/rejections/summary", parameters(query, range, but), { ...(by ? { by } : {}), ...more }), signal);
    const tagNames = query.feed ? await tagsOf(query.feed, signal) : [];
    const windows = { every: step.every, windows_of: query.by };
    const [all, reasons, feeds, recovered, flow] = await Promise.all([
      summary(tagNames.map((name) => `tag.${name}`).join(","), [], windows),
      summary("reason", ["reason"]),
      summary("feed", ["feed", "tags"]),
      summary("", [], { recovered: "only" }),
      received(query, range, signal),
    ]);
    const times = beginsOf(range.from, range.to, step.ms);
    return {
      query,
      range,
      stepMs: step.ms,
      times,
      classes: classWindows(all, times),
      total: all.total,
      received: flow?.received ?? null,
      accepted: flow?.accepted ?? null,
      recovered: recovered.total,
      feeds: feeds.facets.feed ?? [],
      reasons: reasons.facets.reason ?? [],
      tags: Object.fromEntries(tagNames.map((name) => [name, all.facets[`tag.${name}`] ?? []])),
    };
  }
}

async function tagsOf(feed: string, signal: AbortSignal): Promise<string[]> {
  try {
    const answer = await get<{ definition?: { tags?: Record<string, unknown> } }>(`/v1/feeds/${encodeURIComponent(feed)}`, signal);
    return Object.keys(answer.definition?.tags ?? {}).slice(0, 4);
  } catch (error) {
    if (signal.aborted) throw error;
    return [];
  }
}

async function received(query: LedgerQuery, range: Range, signal: AbortSignal): Promise<{ received: number; accepted: number } | null> {
  if (query.by === "time" || !hasRange(query)) return null;
  const asked = new URLSearchParams({ start: new Date(range.from).toISOString(), end: new Date(range.to).toISOString() });
  if (query.feed) asked.set("feed", query.feed);
  try {
    return (await get<{ totals: { received: number; accepted: number } }>(path("/v1/flow", asked), signal)).totals;
  } catch (error) {
    if (signal.aborted) throw error;
    return null;
  }
}

function classWindows(summary: Summary, times: readonly number[]): Record<LedgerClass, number[]> {
  const at = new Map(times.map((time, n) => [time, n]));
  const rows = Object.fromEntries(CLASSES.map((kind) => [kind, times.map(() => 0)])) as Record<LedgerClass, number[]>;
  for (const window of summary.windows ?? []) {
    const n = at.get(Date.parse(window.time));
    if (n === undefined) continue;
    for (const [kind, count] of Object.entries(byClass(window.by_reason)) as [LedgerClass, number][]) rows[kind][n] = count;
  }
  return rows;
}
