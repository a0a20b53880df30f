/** Bytes of a payload as the server keeps them: a stretch of them, and their hash computed in the browser. */
import { whole } from "$lib/api/client";

/** How many bytes are asked for at a time. */
export const STRETCH = 65_536;
/** Payloads up to this size are fetched whole to be hashed. */
export const HASHED_SIZE = 16 * 1024 * 1024;

export function payloadPath(receipt: string): string {
  return `/v1/receipts/${encodeURIComponent(receipt)}/payload`;
}

/** The bytes [start, end) of a payload. */
export async function payloadBytes(receipt: string, start: number, end: number, signal?: AbortSignal): Promise<Uint8Array> {
  if (end <= start) return new Uint8Array();
  const headers = { Range: `bytes=${start}-${end - 1}` };
  return whole(payloadPath(receipt), { headers, ...(signal ? { signal } : {}) }, async (answer) => new Uint8Array(await answer.arrayBuffer()));
}

/** Whether the browser can hash: only in a secure context (HTTPS, or loopback). */
export function canHash(): boolean {
  return isSecureContext && "subtle" in crypto;
}

/** sha256 of a whole payload, as hexadecimal digits. */
export async function payloadHash(receipt: string, signal?: AbortSignal): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", await whole(payloadPath(receipt), signal ? { signal } : {}, (answer) => answer.arrayBuffer()));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
