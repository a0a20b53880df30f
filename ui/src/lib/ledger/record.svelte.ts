/** One record of a payload with the bytes around it, and of a duplicate the record that stays. */
import type { components } from "$lib/api/api";
import { api, ask } from "$lib/api/client";
import { Read } from "$lib/api/read.svelte";
import { payloadBytes } from "$lib/bytes/payload";
import type { Mark } from "$lib/bytes/spans";

export type RecordItem = components["schemas"]["PayloadRecordItem"];

export interface Located {
  item: RecordItem;
  /** Bytes of the record, or the first of them; null where it has none of its own. */
  bytes: Uint8Array | null;
  /** Where `bytes` begin in the payload. */
  offset: number;
  marks: Mark[];
}

export interface Opened extends Located {
  winner: Located | null;
}

/** A record longer than this is shown in part. */
const MOST_BYTES = 16_384;

export function recordRead(which: () => { receipt: string; index: number } | null): Read<Opened | null> {
  return new Read<Opened | null>(async (signal) => {
    const asked = which();
    if (!asked) return null;
    const opened = await located(asked.receipt, asked.index, signal);
    const other = opened.item.item.winner;
    const winner = other?.receipt ? await located(other.receipt, other.index, signal).catch(() => null) : null;
    return { ...opened, winner };
  });
}

async function located(receipt: string, index: number, signal: AbortSignal): Promise<Located> {
  const path = { receipt, index };
  const item = await ask(api.GET("/v1/receipts/{receipt}/records/{index}", { params: { path }, signal }));
  const span = item.item.bytes;
  if (!span) return { item, bytes: null, offset: 0, marks: [] };
  const faults = item.item.at_fault.map((fault): Mark => ({ start: fault.start, end: fault.end, kind: "fault" }));
  const bytes = await payloadBytes(receipt, span.start, Math.min(span.end, span.start + MOST_BYTES), signal).catch((error) => {
    if (signal.aborted) throw error;
    return null;
  });
  return { item, bytes, offset: span.start, marks: faults };
}

/** A receipt's id as it is said: its first and its second part. */
export function shortId(id: string): string {
  return id.slice(0, 13);
}
