/**
 * Questions that failed because the server, or its store, was away. Each is asked again once the server says that
 * nothing stands still (`lib/shell/health`), so that a page recovers by itself.
 */
import type { Problem } from "./problem";

/** No answer at all, or the answer of a part that is away. */
const AWAY: ReadonlySet<number> = new Set([0, 502, 503, 504]);
/** At most so often. */
const REST_MS = 3000;

const failed = new Set<() => unknown>();
let askedAt = 0;

/** Keep a question that failed, if it failed for that reason. The same function is kept once. */
export function askWhenBack(problem: Problem, ask: () => unknown): void {
  if (AWAY.has(problem.status)) failed.add(ask);
}

/** Nobody waits for the answer any more. */
export function giveUp(ask: () => unknown): void {
  failed.delete(ask);
}

/** Nothing stands still: ask what failed. */
export function askFailed(now = Date.now()): void {
  if (failed.size === 0 || now - askedAt < REST_MS) return;
  askedAt = now;
  const questions = [...failed];
  failed.clear();
  for (const ask of questions) ask();
}
