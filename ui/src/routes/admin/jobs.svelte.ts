/** Jobs of the server, followed: asked for again every second while one is under way, else every 15 s. */
import type { components } from "$lib/api/api";
import { api, ask } from "$lib/api/client";
import { Read } from "$lib/api/read.svelte";

export type Job = components["schemas"]["JobPage"]["items"][number];
type Kind = Job["kind"];

const BUSY_MS = 1000;
const QUIET_MS = 15_000;
const OPEN = new Set(["queued", "running", "publishing"]);

export const isOpen = (job: Job): boolean => OPEN.has(job.state);

export class Jobs extends Read<{ items: Job[] }> {
  readonly items = $derived(this.data?.items ?? []);
  readonly busy = $derived(this.items.some(isOpen));

  constructor(kind?: Kind) {
    super(async (signal) => ask(api.GET("/v1/jobs", { params: { query: kind ? { kind, limit: 20 } : { limit: 100 } }, signal })));
  }

  /** Follow; returns what ends it. */
  follow(): () => void {
    void this.run();
    let asked = Date.now();
    const timer = setInterval(() => {
      if (document.hidden || Date.now() - asked < (this.busy ? BUSY_MS : QUIET_MS)) return;
      asked = Date.now();
      void this.refresh();
    }, 500);
    return () => {
      clearInterval(timer);
      this.stop();
    };
  }
}
