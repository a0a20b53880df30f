/** Instants of the server in words, on the clock of this browser. */
import { browserZone, whenToSecond } from "$lib/format/time";

/** "29 Nov 14:42:10 +01:00"; `none` for null. Fractions of a second are left out: nothing here is told apart by them. */
export function when(text: string | null | undefined, none = "none"): string {
  return whenToSecond(text, browserZone(), none);
}
