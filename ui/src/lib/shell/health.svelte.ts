/** What stands still, from `/readyz`: the sentences of the bar below the head. Asked every 10 s while visible. */
import { askFailed } from "$lib/api/back";
import { json } from "$lib/api/client";
import { Problem } from "$lib/api/problem";
import { stream } from "$lib/stream/stream.svelte";
import type { components } from "$lib/api/api";

type Ready = components["schemas"]["Ready"];
type HealthEvent = components["schemas"]["HealthEvent"];

/** What of the state the bar speaks of. */
interface Seen {
  ready: boolean;
  reason: string;
  degraded: string[];
  mill: string;
  storeUp: boolean;
}

const EVERY_MS = 10_000;
const SOON_MS = 3000;
/** A server that does not say within this time whether it works is held for away. */
const PATIENCE_MS = 10_000;

class Health {
  seen: Seen | null = $state.raw(null);
  /** Since when the server does not answer (ms); null while it does. */
  silentSince: number | null = $state(null);
  #looking: Promise<void> | null = null;

  /** What stands still, a sentence each; none when all is well. */
  get sentences(): string[] {
    if (this.silentSince !== null) return ["The server does not answer. Shown: what came before."];
    return this.seen ? standing(this.seen) : [];
  }

  /** Ask, unless an answer is on its way. */
  look(): Promise<void> {
    this.#looking ??= this.#ask().finally(() => (this.#looking = null));
    return this.#looking;
  }

  async #ask(): Promise<void> {
    try {
      this.#take(fromReady(await json<Ready>("/readyz", { signal: AbortSignal.timeout(PATIENCE_MS) })));
    } catch (error) {
      if (error instanceof Problem && error.status === 503 && "ready" in error.document) {
        this.#take(fromReady(error.document as unknown as Ready));
      } else if (!(error instanceof Problem) || error.status === 0 || error.status >= 500) {
        this.silentSince ??= Date.now();
      }
    }
  }

  #take(seen: Seen): void {
    this.seen = seen;
    this.silentSince = null;
    if (standing(seen).length === 0) askFailed();
  }

  start(): () => void {
    let timer: ReturnType<typeof setTimeout>;
    let ended = false;
    const turn = async () => {
      if (!document.hidden) await this.look();
      if (!ended) timer = setTimeout(turn, this.sentences.length > 0 ? SOON_MS : EVERY_MS);
    };
    void turn();
    const unhear = stream.on("health", (event) => {
      this.#take(fromEvent(event as HealthEvent, this.seen?.reason ?? ""));
    });
    return () => {
      ended = true;
      clearTimeout(timer);
      unhear();
    };
  }
}

/** Details are for administrators: what is not said is taken to be well. */
function fromReady({ ready, degraded, log, mill, store }: Ready): Seen {
  return { ready, reason: log?.reason ?? "", degraded, mill: mill?.state ?? "", storeUp: store?.up ?? true };
}

function fromEvent({ ready, degraded, mill, store }: HealthEvent, reason: string): Seen {
  return { ready, reason, degraded, mill, storeUp: store === "up" };
}

function standing({ ready, reason, degraded, mill, storeUp }: Seen): string[] {
  const said: string[] = [];
  if (!ready) said.push(`Payloads are not accepted${reason ? `: ${reason}` : ""}.`);
  const accepted = ready ? "Payloads are accepted; " : "";
  if (!storeUp) said.push(`The store does not answer. ${capital(`${accepted}charts wait.`)}`);
  if (mill === "silent") said.push(`The mill does not run. ${capital(`${accepted}records wait to be counted.`)}`);
  return [...said, ...degraded.map((reason) => capital(reason.endsWith(".") ? reason : `${reason}.`))];
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export const health = new Health();
