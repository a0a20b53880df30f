/** A dry run of a replay that is followed until it is over: what a definition would change of what was received. */
import { api, ask } from "$lib/api/client";
import type { components } from "$lib/api/api";
import { Problem } from "$lib/api/problem";

export type Replay = components["schemas"]["ReplayItem"];
type Request = components["schemas"]["ReplayJobRequest"];

const OVER = new Set<Replay["state"]>(["done", "failed", "cancelled"]);
const WAIT_S = 5;

export class DryRun {
  replay: Replay | null = $state.raw(null);
  problem: Problem | null = $state.raw(null);
  #stopped = false;
  #running = new AbortController();

  get over(): boolean {
    return this.problem !== null || (this.replay !== null && OVER.has(this.replay.state));
  }

  /** Ask for the dry run and follow it. */
  async run(request: Pick<Request, "feed"> & { start?: string; end?: string; definition?: string; version?: number }): Promise<void> {
    const { signal } = this.#running;
    try {
      const body = { ...request, dry_run: true };
      this.replay = (await ask(api.POST("/v1/replays", { body, headers: { Prefer: "wait=1" }, signal }))) as Replay;
      while (!this.over && !this.#stopped) {
        const path = { replay: this.replay.id };
        this.replay = (await ask(api.GET("/v1/replays/{replay}", { params: { path }, headers: { Prefer: `wait=${WAIT_S}` }, signal }))) as Replay;
      }
    } catch (error) {
      if (signal.aborted) return;
      this.problem = error instanceof Problem ? error : new Problem({ title: "The page could not read this answer", detail: String(error) }, 0, "");
    }
  }

  /** End it, wherever it is; it changes nothing. */
  async cancel(): Promise<void> {
    this.stop();
    if (this.replay && !this.over) {
      const path = { replay: this.replay.id };
      await ask(api.DELETE("/v1/replays/{replay}", { params: { path } })).catch(() => undefined);
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#running.abort();
  }
}
