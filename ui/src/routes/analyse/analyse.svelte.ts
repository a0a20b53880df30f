/** What the cards of a series have in common: the series and those beside it, its range, zone, windows and requests. */
import type { components } from "$lib/api/api";
import { api, ask, json } from "$lib/api/client";
import { pathOf } from "$lib/api/path";
import { Read } from "$lib/api/read.svelte";
import { shortLabel } from "$lib/format/series";
import { browserZone } from "$lib/format/time";
import { momentMs, rfc3339 } from "$lib/url/moment";
import { router } from "$lib/url/router.svelte";
import { KWH_POWER } from "./cost.ts";

export type Schemas = components["schemas"];
export type Item = Schemas["SeriesItem"];
export type Description = Schemas["DescriptionAnswer"];

const BESIDE = 24;
/** Above so many values as they were sent, what looks at each of them is asked by the hour. */
const MANY = 50_000;

interface Known {
  item: Item;
  /** Of the same feed, this one among them. */
  others: Item[];
}

export async function read<T>(path: string, signal: AbortSignal): Promise<T> {
  return json<T>(path, { signal });
}

export class Analyse {
  /** "now" of this page: one instant for all cards. */
  readonly now = Date.now();
  readonly id = $derived(router.param("series"));
  readonly query = $derived(router.query("analyse"));
  readonly zone = $derived(this.query.tz || browserZone());
  readonly startMs = $derived(momentMs(this.query.from, this.now));
  readonly endMs = $derived(momentMs(this.query.to, this.now));
  readonly known: Read<Known> = new Read((signal) => this.#look(signal));
  readonly description: Read<Description> = new Read((signal) => read<Description>(this.descriptionPath, signal));

  readonly descriptionPath = $derived(pathOf(`/v1/series/${this.id}/description`, this.range()));
  readonly item = $derived(this.known.data?.item ?? null);
  readonly others = $derived(this.known.data?.others ?? []);
  readonly unit = $derived(this.item?.unit ?? "");
  readonly label = $derived(this.item ? shortLabel(this.item) : "");
  readonly figures = $derived(this.description.data?.figures ?? null);
  readonly isEnergy = $derived(this.unit in KWH_POWER && this.description.data?.kind !== "counter");
  /** Of a counter what it rose, of energy what flowed, of anything else the mean. */
  readonly agg = $derived(this.query.agg || (this.description.data?.kind === "counter" ? "increase" : this.isEnergy ? "sum" : "mean"));
  /** The cards are asked for once it is known what is grouped how. */
  readonly ready = $derived(this.item !== null && (this.description.data !== undefined || this.description.problem !== null));
  /** The series of the same thing (the same tags) and unit: the feed-in beside the import. */
  readonly twin = $derived(
    this.others.find((other) => other.id !== this.item?.id && other.unit === this.item?.unit && same(other.tags, this.item?.tags ?? {})) ?? null,
  );
  readonly beside = $derived(this.query.with ? (this.others.find((other) => other.id === this.query.with) ?? null) : this.twin);
  readonly many = $derived((this.figures?.count ?? this.item?.count ?? 0) > MANY);
  /** What the numbers of windows are in: a mean keeps the unit. */
  readonly bounds = $derived({
    from: this.startMs ?? (this.figures?.from ? Date.parse(this.figures.from) : null),
    to: this.endMs ?? (this.figures?.to ? Date.parse(this.figures.to) : null),
  });

  range(): Record<string, string> {
    const at = (ms: number | null) => (ms === null ? "" : rfc3339(ms));
    return { start: at(this.startMs), end: at(this.endMs), tz: this.zone };
  }

  /** The windows of the URL; without any, those that a card needs (`least`) where very many values are. */
  windows(least = ""): Record<string, string> {
    const every = this.query.every || (this.many ? least : "");
    return every ? { every, agg: this.agg } : {};
  }

  path(kind: string, more: Readonly<Record<string, string>> = {}, least = ""): string | null {
    return this.ready ? pathOf(`/v1/series/${this.id}/${kind}`, { ...this.range(), ...this.windows(least), ...more }) : null;
  }

  async #look(signal: AbortSignal): Promise<Known> {
    const asked = { series: this.id, points: 10, agg: "count", shape: "columns" } as const;
    const answer = (await ask(api.GET("/v1/points", { params: { query: asked }, signal }))) as Schemas["PointColumns"];
    const [series] = answer.series;
    if (!series) throw new Error("There is no such series.");
    const list = (parameters: Record<string, string>) => read<Schemas["SeriesPage"]>(pathOf("/v1/series", parameters), signal);
    const tags = Object.fromEntries(Object.entries(series.tags).map(([key, value]) => [`tag.${key}`, value]));
    const [own, all] = await Promise.all([
      list({ feed: series.feed, ...tags, limit: String(BESIDE) }),
      list({ feed: series.feed, limit: String(BESIDE) }),
    ]);
    const item = own.items.find((one) => one.id === this.id) ?? { ...series, count: null, missing: null, first: null, last: null, removed: false };
    const others = new Map([item, ...own.items, ...all.items].map((one) => [one.id, one]));
    const ordered = [...others.values()].sort((a, b) => shortLabel(a).localeCompare(shortLabel(b)));
    return { item: item as Item, others: ordered as Item[] };
  }
}

function same(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a);
  return keys.length > 0 && keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
