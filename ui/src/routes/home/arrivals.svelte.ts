/** The payloads that came last: those of `/v1/receipts` at first, then those that the stream tells of. */
import { api, ask } from "$lib/api/client";
import type { components } from "$lib/api/api";
import { stream } from "$lib/stream/stream.svelte";
import type { Receipt } from "./tail";

const KEPT = 200;
const CROWD = 10;
/** At most so often the list is shown anew. */
const SHOW_MS = 400;

type StreamReceipt = components["schemas"]["ReceiptEvent"];
type ListedReceipt = components["schemas"]["Receipt"];

export class Feed {
  receipts: readonly Receipt[] = $state.raw([]);
  /** How many have come since the page was opened. */
  seen = $state(0);
  crowded = $state(false);
  /** Whether the server has received nothing yet. */
  nothing = $state(false);
  /** Whether all that came last waits to be applied. */
  waits = $state(false);
  #next: Receipt[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  start(): () => void {
    void this.#load();
    const unhear = stream.on("receipt", (data) => this.#hear(fromStream(data as StreamReceipt)));
    return () => {
      unhear();
      clearTimeout(this.#timer);
      this.#timer = undefined;
    };
  }

  async #load(): Promise<void> {
    try {
      const { items } = await ask(api.GET("/v1/receipts", { params: { query: { limit: 30 } } }));
      const known = new Set(this.receipts.map((one) => one.receipt));
      // One that waits comes by the stream once it is applied.
      const before = items.filter((one) => one.state !== "stored" && !known.has(one.id)).map(fromList);
      this.#show([...this.receipts, ...before]);
      this.nothing = items.length === 0;
      this.waits = items.length > 0 && this.receipts.length === 0;
    } catch {
      // The tail fills by itself; what does not answer is said by the bar and by the other panels.
    }
  }

  #hear(receipt: Receipt): void {
    this.#next.push(receipt);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      const next = this.#next;
      this.#next = [];
      this.seen += next.reduce((sum, one) => sum + one.payloads, 0);
      this.#show([...next.reverse(), ...this.receipts]);
    }, SHOW_MS);
  }

  #show(receipts: Receipt[]): void {
    const byTime = receipts.sort((a, b) => Date.parse(b.receivedAt) - Date.parse(a.receivedAt));
    this.receipts = byTime.slice(0, KEPT);
    const newest = Date.parse(byTime[0]?.receivedAt ?? "");
    this.crowded = byTime.filter((one) => newest - Date.parse(one.receivedAt) < 1000).length > CROWD;
  }
}

let told = 0;

function fromList(item: ListedReceipt): Receipt {
  told += 1;
  return {
    key: told,
    receipt: item.id,
    feed: item.feed,
    receivedAt: item.received_at,
    payloads: 1,
    accepted: item.accepted ?? 0,
    rejected: item.rejected ?? 0,
    flagged: 0,
    waiting: item.state === "stored",
    reasons: item.reasons ?? {},
  };
}

function fromStream(event: StreamReceipt): Receipt {
  told += 1;
  return {
    key: told,
    receipt: event.receipt,
    feed: event.feed ?? `${event.feeds} feeds`,
    receivedAt: event.received_at,
    payloads: event.payloads,
    accepted: event.accepted,
    rejected: event.rejected,
    flagged: event.flagged,
    waiting: false,
    reasons: event.reasons,
  };
}

/** One list for the whole page: it is there when Home is opened again. */
export const feed = new Feed();
