/**
 * A definition that is being written, and what the server makes of it: 250 ms after a change of the text or the sample
 * it is tried (`POST /v1/feeds/trial`), and a text without faults is compared with the version in force. Drafts stay
 * while the page is open, also when another part of it is looked at.
 */
import { SvelteMap } from "svelte/reactivity";
import { api, ask, json } from "$lib/api/client";
import type { components } from "$lib/api/api";
import { Read } from "$lib/api/read.svelte";
import { asked, NO_SAMPLE, type Sample, typed } from "./sample";

export type FeedTrial = components["schemas"]["FeedTrial"];
export type TrialRecord = components["schemas"]["TrialRecord"];
export type FeedChange = components["schemas"]["FeedChange"];

const REST_MS = 250;

export interface Base {
  /** The version that the draft was begun from; 0: none, the feed is new. */
  version: number;
  text: string;
}

export class Draft {
  readonly feed: string;
  base: Base = $state.raw({ version: 0, text: "" });
  text = $state("");
  sample: Sample = $state.raw(NO_SAMPLE);
  /** What the dry run of the text says, once it has no faults; null until then, and where nothing differs. */
  change: FeedChange | null = $state.raw(null);
  readonly trial: Read<FeedTrial>;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asked = 0;

  constructor(feed: string, base: Base, text: string) {
    this.feed = feed;
    this.base = base;
    this.text = text;
    this.trial = new Read((signal) => this.#try(signal));
    this.trial.again = () => this.now();
  }

  get differs(): boolean {
    return this.text !== this.base.text;
  }

  get isNew(): boolean {
    return this.base.version === 0;
  }

  write(text: string): void {
    this.text = text;
    this.#soon();
  }

  take(sample: Sample): void {
    this.sample = sample;
    this.#soon();
  }

  type(text: string): void {
    this.take(typed(text));
  }

  /** Begin from another version; the text stays unless one is given. */
  rebase(base: Base, text = this.text): void {
    this.base = base;
    this.text = text;
    void this.now();
  }

  /** Try it at once. */
  async now(): Promise<void> {
    clearTimeout(this.#timer);
    this.#asked += 1;
    const turn = this.#asked;
    const text = this.text;
    await this.trial.run();
    const { data } = this.trial;
    // What was typed meanwhile has not been tried: its own turn comes.
    if (turn !== this.#asked || text !== this.text) return;
    if (this.isNew || !this.differs || this.trial.problem || !data || data.faults.length > 0) {
      this.change = null;
      return;
    }
    try {
      const change = await this.#put({ dry_run: "true" }, {});
      if (turn === this.#asked) this.change = change;
    } catch {
      if (turn === this.#asked) this.change = null;
    }
  }

  /** The next records of the sample, after those that are there. */
  async more(): Promise<void> {
    const before = this.trial.data;
    if (!before?.next) return;
    const page = await this.#page(before.next);
    if (this.trial.data === before) this.trial.data = { ...page, records: [...before.records, ...page.records] };
  }

  /** Make it the next version. Throws the server's Problem: 412 where another version is in force meanwhile. */
  async apply(): Promise<FeedChange> {
    const text = this.text;
    const condition: Record<string, string> = this.isNew ? { "If-None-Match": "*" } : { "If-Match": `"${this.base.version}"` };
    const change = await this.#put({}, condition);
    this.base = { version: change.version, text };
    this.change = null;
    return change;
  }

  stop(): void {
    this.#asked += 1;
    clearTimeout(this.#timer);
    this.trial.stop();
  }

  #soon(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.now(), REST_MS);
  }

  #try(signal: AbortSignal): Promise<FeedTrial> {
    return this.#page(0, signal);
  }

  #page(first: number, signal: AbortSignal | null = null): Promise<FeedTrial> {
    const body = { definition: this.text, feed: this.feed, ...asked(this.sample), ...(first ? { first } : {}) };
    return ask(api.POST("/v1/feeds/trial", { body, signal }));
  }

  async #put(query: Record<string, string>, headers: Record<string, string>): Promise<FeedChange> {
    const search = new URLSearchParams(query).toString();
    const path = `/v1/feeds/${encodeURIComponent(this.feed)}${search ? `?${search}` : ""}`;
    return json<FeedChange>(path, { method: "PUT", body: this.text, headers: { "Content-Type": "application/toml", ...headers } });
  }
}

/** The drafts of this page, by feed. */
export const drafts = new SvelteMap<string, Draft>();

/** The text in force of a feed, as a base. `text` is null where the key may not see it. */
export async function inForce(feed: string, signal?: AbortSignal): Promise<{ version: number; text: string | null }> {
  const detail = await ask(api.GET("/v1/feeds/{feed}", { params: { path: { feed } }, ...(signal ? { signal } : {}) }));
  return { version: detail.version, text: detail.text };
}
