/**
 * When the stream is opened, closed and tried again, as a function of what happened. One tab of a browser leads and
 * has the connection; the others follow what it says. Pure: the clock and chance come in.
 *
 *     off ──lead──> connecting ──open──> live
 *      ^               ^  |failed          |failed
 *      |hidden 60 s    |  v                v
 *      └──────────── retrying <────────────┘
 */

export type Phase = "off" | "connecting" | "live" | "retrying";

export interface State {
  phase: Phase;
  /** Tries since the last time it was live. */
  tries: number;
  /** When the next try begins (ms); only while retrying. */
  retryAt: number;
  /** Since when nothing comes (ms); null while it is live, or was never there. */
  lostSince: number | null;
  /** When the last byte came (ms). */
  heardAt: number;
}

export type Happening =
  | { what: "lead" }
  | { what: "opened" }
  | { what: "heard" }
  | { what: "failed"; chance: number; retryAfter?: number | null }
  | { what: "tick" }
  | { what: "leave" };

export const START: State = { phase: "off", tries: 0, retryAt: 0, lostSince: null, heardAt: 0 };
const FIRST_DELAY_MS = 1000;
export const LONGEST_DELAY_MS = 30_000;
/** The server says something every 15 s; after this long without a byte the connection is held for dead. */
export const SILENT_MS = 40_000;
/** A tab that was hidden this long gives the stream up. */
export const HIDDEN_MS = 60_000;
/** After this long the page says in a bar that the stream is lost. */
const LOST_MS = 60_000;

/** The delay before a try: somewhere between 1 s and twice the one before, 30 s at most. `chance` is 0 to 1. */
export function delayMs(tries: number, chance: number): number {
  const most = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(tries, 10));
  return Math.round(FIRST_DELAY_MS + (most - FIRST_DELAY_MS) * chance);
}

export function next(state: State, happening: Happening, now: number): State {
  switch (happening.what) {
    case "lead":
      return state.phase === "off" ? { ...state, phase: "connecting" } : state;
    case "opened":
      if (state.phase !== "connecting") return state;
      return { phase: "live", tries: 0, retryAt: 0, lostSince: null, heardAt: now };
    case "heard":
      return state.phase === "live" ? { ...state, heardAt: now } : state;
    case "failed":
      return state.phase === "off" ? state : retrying(state, happening, now);
    case "tick":
      if (state.phase === "live" && now - state.heardAt > SILENT_MS) {
        return retrying(state, { what: "failed", chance: 0 }, now);
      }
      return state.phase === "retrying" && now >= state.retryAt ? { ...state, phase: "connecting" } : state;
    case "leave":
      return { ...START, lostSince: state.lostSince };
  }
}

function retrying(state: State, failed: Extract<Happening, { what: "failed" }>, now: number): State {
  const tries = state.tries + 1;
  const wait = Math.max(delayMs(tries, failed.chance), Math.min(LONGEST_DELAY_MS, (failed.retryAfter ?? 0) * 1000));
  return { ...state, phase: "retrying", tries, retryAt: now + wait, lostSince: state.lostSince ?? now };
}

/** Whether the page says in a bar that what it shows came before. */
export function isLost(state: State, now: number): boolean {
  return state.lostSince !== null && now - state.lostSince >= LOST_MS;
}
