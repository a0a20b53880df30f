/** The sample that a definition is tried on: a text, bytes that are none, or the payload of a receipt. */
import { json, whole } from "$lib/api/client";
import type { components } from "$lib/api/api";
import { base64, hexRows, hexSpans, type Span, textOf, textSpans } from "$lib/editor/bytes";
import { bytes as bytesText, count } from "$lib/format/numbers";

const MAX_SAMPLE = 1 << 20;

export interface Sample {
  /** What the editor shows: the text itself, or rows of bytes. */
  readonly shown: string;
  /** Bytes that are no text; they cannot be edited. */
  readonly raw: Uint8Array | null;
  /** The payload that these bytes are, as long as they were not edited. */
  readonly receipt: string;
  /** Where it came from, for people. */
  readonly origin: string;
}

export const NO_SAMPLE: Sample = { shown: "", raw: null, receipt: "", origin: "" };

export function typed(text: string): Sample {
  return { shown: text, raw: null, receipt: "", origin: text ? "as typed" : "" };
}

export function ofBytes(bytes: Uint8Array, origin: string, receipt = ""): Sample {
  const text = textOf(bytes);
  return { shown: text ?? hexRows(bytes), raw: text === null ? bytes : null, receipt, origin };
}

/** The members of a trial's request that stand for a sample. */
export function asked(sample: Sample): { sample?: string; sample_base64?: string; receipt?: string } {
  if (sample.receipt) return { receipt: sample.receipt };
  if (sample.raw) return { sample_base64: base64(sample.raw) };
  return sample.shown === "" ? {} : { sample: sample.shown };
}

/** Where bytes of a sample are in what is shown of it. */
export function places(sample: Sample, spans: readonly Span[]): Span[] {
  return sample.raw ? hexSpans(spans) : textSpans(sample.shown, spans);
}

export class SampleTooLong extends Error {}

export function checkLength(size: number, what: string): void {
  if (size <= MAX_SAMPLE) return;
  throw new SampleTooLong(`${what} has ${count(size)} bytes; a sample has at most ${count(MAX_SAMPLE)}. Paste a part of it.`);
}

/** The payload of a receipt. Throws Problem, SampleTooLong. */
export async function ofReceipt(id: string, says = ""): Promise<Sample> {
  const path = `/v1/receipts/${encodeURIComponent(id)}/payload`;
  const range = { headers: { Range: `bytes=0-${MAX_SAMPLE - 1}` } };
  const [said, bytes] = await whole(path, range, async (answer) => [answer.headers.get("Content-Range") ?? "", new Uint8Array(await answer.arrayBuffer())] as const);
  checkLength(Number(/\/(\d+)$/.exec(said)?.[1] ?? 0), `The payload ${id}`);
  checkLength(bytes.length, `The payload ${id}`);
  return ofBytes(bytes, `${says || "payload"}, ${bytesText(bytes.length)}`, id);
}

/** The receipt of the payload that a feed rejected something of last, else of its last; "" where nothing came. */
export async function lastReceipt(feed: string): Promise<{ id: string; says: string }> {
  const name = encodeURIComponent(feed);
  const rejected = await json<components["schemas"]["RejectionPage"]>(`/v1/rejections?feed=${name}&limit=1`);
  const first = rejected.items[0]?.receipt;
  if (first) return { id: first, says: "the last payload with a rejected record" };
  const receipts = await json<{ items: { id: string }[] }>(`/v1/receipts?feed=${name}&limit=1`);
  return { id: receipts.items[0]?.id ?? "", says: "the last payload" };
}
