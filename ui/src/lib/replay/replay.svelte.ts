/** A replay of chosen records or of a range: asked as a dry run, followed while it runs, run for real, cancelled. */
import type { components } from "$lib/api/api";
import { askWhenBack, giveUp } from "$lib/api/back";
import { api, ask, json } from "$lib/api/client";
import { Problem } from "$lib/api/problem";

export type ReplayItem = components["schemas"]["ReplayItem"];
export type Asked = components["schemas"]["PayloadSelection"];

const FOLLOW_MS = 300;
const OVER = new Set(["done", "failed", "cancelled"]);

export const isOver = (replay: ReplayItem): boolean => OVER.has(replay.state);

export class Replay {
  item: ReplayItem | null = $state.raw(null);
  problem: Problem | null = $state.raw(null);
  busy = $state(false);
  #timer: ReturnType<typeof setTimeout> | undefined;
  #id = "";
  /** Raised by `stop`: what was asked before it is not looked at when it comes. */
  #turn = 0;
  #abandoned = false;

  /** Nothing more is to come of it. */
  get over(): boolean {
    return this.problem !== null || (this.item !== null && isOver(this.item));
  }

  /** Ask for a replay of these records; a draft only as a dry run. The answer's id, or "" when it was refused or stopped. */
  async start(feed: string, asked: Asked, how: { version?: number; definition?: string; dryRun: boolean }): Promise<string> {
    const turn = this.#turn;
    this.busy = true;
    this.problem = null;
    const chosen = { ...(asked.receipts ? { receipts: asked.receipts } : {}), ...(asked.rejections ? { rejections: asked.rejections } : {}), ...(asked.start ? { start: asked.start } : {}), ...(asked.end ? { end: asked.end } : {}) };
    const body = { feed, ...chosen, dry_run: how.dryRun, ...(how.definition !== undefined ? { definition: how.definition } : how.version ? { version: how.version } : {}) };
    try {
      const headers = { "Content-Type": "application/json" };
      const item = await json<ReplayItem>("/v1/replays", { method: "POST", headers, body: JSON.stringify(body) });
      if (turn !== this.#turn && !this.#abandoned) return "";
      this.#take(item);
      return item.id;
    } catch (error) {
      if (turn === this.#turn) this.#fail(error);
      return "";
    } finally {
      this.busy = false;
    }
  }

  /** Show a replay by its id, and follow it until it is over. */
  async follow(id: string): Promise<void> {
    if (id === this.#id && this.item) return;
    this.#id = id;
    this.stop();
    await this.#look(id);
  }

  async cancel(): Promise<void> {
    if (!this.item) return;
    const replay = this.item.id;
    const turn = this.#turn;
    try {
      await this.#end(replay);
      if (turn !== this.#turn) return;
      this.stop();
      await this.#look(replay);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** End it, wherever it is, and look at it no more: for a dry run that nobody waits for. */
  abandon(): void {
    this.#abandoned = true;
    this.stop();
    if (this.item && !isOver(this.item)) void this.#end(this.item.id).catch(() => undefined);
  }

  stop(): void {
    this.#turn += 1;
    this.#rest();
  }

  #rest(): void {
    clearTimeout(this.#timer);
    giveUp(this);
  }

  async #end(replay: string): Promise<void> {
    await ask(api.DELETE("/v1/replays/{replay}", { params: { path: { replay } } }));
  }

  async #look(replay: string): Promise<void> {
    const turn = this.#turn;
    const superseded = () => turn !== this.#turn || replay !== this.#id;
    try {
      const item = await ask(api.GET("/v1/replays/{replay}", { params: { path: { replay } } }));
      if (superseded()) return;
      this.problem = null;
      this.#take(item as ReplayItem);
    } catch (error) {
      if (superseded()) return;
      this.#fail(error);
      // It runs on while nobody looks: it is followed again once the server is back.
      if (this.problem) askWhenBack(this.problem, this, () => void this.#look(replay));
    }
  }

  #take(item: ReplayItem): void {
    this.item = item;
    this.#id = item.id;
    this.#rest();
    if (this.#abandoned) return this.abandon();
    if (!isOver(item)) this.#timer = setTimeout(() => void this.#look(item.id), FOLLOW_MS);
  }

  #fail(error: unknown): void {
    if (!(error instanceof Problem)) throw error;
    this.problem = error;
  }
}
