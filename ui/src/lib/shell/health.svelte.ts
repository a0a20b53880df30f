/** What stands still, from `/readyz`: the sentences of the bar below the head. Asked every 10 s while visible. */
import { send } from "$lib/api/client";
import { Problem } from "$lib/api/problem";
import { stream } from "$lib/stream/stream.svelte";
import type { components } from "$lib/api/api";

type Ready = components["schemas"]["Ready"];

const EVERY_MS = 10_000;
const SOON_MS = 3000;

class Health {
  ready: Ready | null = $state.raw(null);
  /** Since when the server does not answer (ms); null while it does. */
  silentSince: number | null = $state(null);

  /** What stands still, a sentence each; none when all is well. */
  get sentences(): string[] {
    if (this.silentSince !== null) return ["The server does not answer. Shown: what came before."];
    return this.ready ? standing(this.ready) : [];
  }

  async look(): Promise<void> {
    try {
      this.ready = (await (await send("/readyz")).json()) as Ready;
      this.silentSince = null;
    } catch (error) {
      if (!(error instanceof Problem)) return;
      if (error.status === 503 && "ready" in error.document) {
        this.ready = error.document as unknown as Ready;
        this.silentSince = null;
      } else if (error.status === 0 || error.status >= 500) {
        this.silentSince ??= Date.now();
      }
    }
  }

  start(): () => void {
    let timer: ReturnType<typeof setTimeout>;
    let ended = false;
    const turn = async () => {
      if (!document.hidden) await this.look();
      if (!ended) timer = setTimeout(turn, this.sentences.length > 0 ? SOON_MS : EVERY_MS);
    };
    void turn();
    const unhear = stream.on("health", (ready) => {
      this.ready = ready as Ready;
      this.silentSince = null;
    });
    return () => {
      ended = true;
      clearTimeout(timer);
      unhear();
    };
  }
}

function standing(ready: Ready): string[] {
  const said: string[] = [];
  const { log, mill, store } = ready;
  if (!ready.ready) said.push(`Payloads are not accepted${log?.reason ? `: ${log.reason}` : ""}.`);
  const accepted = ready.ready ? "Payloads are accepted; " : "";
  if (store && !store.up) said.push(`The store does not answer. ${capital(`${accepted}charts wait.`)}`);
  if (mill?.state === "silent") said.push(`The mill does not run. ${capital(`${accepted}records wait to be counted.`)}`);
  return [...said, ...ready.degraded.map((reason) => capital(reason.endsWith(".") ? reason : `${reason}.`))];
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export const health = new Health();
