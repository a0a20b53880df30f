/**
 * Questions that failed because the server, or its store, was away. Each is asked again once the server says that
 * nothing stands still (`lib/shell/health`), so that a page recovers by itself.
 */
import { type Problem, spread } from "./problem";

/** At most so often (ms). */
const REST_MS = 3000;

/** By who asked: one function may ask for several. */
const failed = new Map<object, () => unknown>();
let askedAt = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

/** No answer at all, or that of a part which comes back: a 503 without `Retry-After` stays what it is. */
function isAway({ status, code, retryAfter }: Problem): boolean {
  return code === "unreachable" || status === 502 || status === 504 || (status === 503 && retryAfter !== null);
}

/** Keep the question of `who` that failed, if it failed for that reason. */
export function askWhenBack(problem: Problem, who: object, ask: () => unknown): void {
  if (isAway(problem)) failed.set(who, ask);
}

/** Nobody waits for the answer any more, or it is asked anew. */
export function giveUp(who: object): void {
  failed.delete(who);
}

/** Nothing stands still: ask what failed, within a second; a function that several failed with once. */
export function askFailed(now = Date.now()): void {
  if (failed.size === 0 || timer !== undefined || now - askedAt < REST_MS) return;
  askedAt = now;
  timer = setTimeout(() => {
    timer = undefined;
    const questions = new Set(failed.values());
    failed.clear();
    for (const ask of questions) ask();
  }, spread());
}
