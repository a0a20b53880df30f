/** Instants of the server in words, on the clock of this browser. */
import { browserZone, instant, instantNs } from "$lib/format/time";

/** "29 Nov 14:42:10 +01:00"; `none` for null. Fractions of a second are left out: nothing here is told apart by them. */
export function when(text: string | null | undefined, none = "none"): string {
  const ns = text ? instantNs(text) : null;
  return ns === null ? none : instant((ns / 1_000_000_000n) * 1_000_000_000n, browserZone());
}
