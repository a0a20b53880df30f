/** What Home asks of `/v1/flow`, and what it makes of the answer. */
import type { components } from "$lib/api/api";
import { counted } from "$lib/format/numbers";
import { duration } from "$lib/format/time";
import { rfc3339 } from "$lib/url/moment";
import type { RANGES } from "./query";

export type Flow = components["schemas"]["Flow"];
export type RangeName = (typeof RANGES)[number];

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

export const RANGE_MS: Record<RangeName, number> = { "15m": 15 * MINUTE, "1h": HOUR, "24h": 24 * HOUR, "7d": 168 * HOUR };
export const RANGE_WORD: Record<RangeName, string> = { "15m": "15 min", "1h": "1 h", "24h": "24 h", "7d": "7 d" };
export const RANGE_SAID: Record<RangeName, string> = {
  "15m": "the last 15 minutes",
  "1h": "the last hour",
  "24h": "the last 24 hours",
  "7d": "the last 7 days",
};

const LADDER: readonly [string, number][] = [
  ["10s", 10_000],
  ["30s", 30_000],
  ["1m", MINUTE],
  ["5m", 5 * MINUTE],
  ["15m", 15 * MINUTE],
  ["1h", HOUR],
  ["2h", 2 * HOUR],
];
const BARS = 121;

export interface Span {
  startMs: number;
  every: string;
  stepMs: number;
}

/** The windows of the chart: of the whole range, or from where the first record came when that is later (15 minutes
 *  at least), and as short as makes no more than 120 bars. */
export function chartSpan(range: RangeName, firstMs: number | null, now: number): Span {
  const whole = RANGE_MS[range];
  const length = firstMs === null ? whole : Math.min(whole, Math.max(15 * MINUTE, now - firstMs));
  const [every, stepMs] = LADDER.find(([, step]) => length / step < BARS) ?? (LADDER[LADDER.length - 1] as [string, number]);
  return { startMs: Math.floor((now - length) / stepMs) * stepMs, every, stepMs };
}

/** When the first record of the range came, to its window (ms); null where none came. */
export function firstMs(flow: Flow): number | null {
  const n = flow.columns.payloads.findIndex((payloads) => payloads > 0);
  return n < 0 ? null : Date.parse(flow.time[n] ?? "");
}

/** "Records a minute", "Records every 10 s". */
export function barsTitle(stepMs: number): string {
  if (stepMs === MINUTE) return "Records a minute";
  return stepMs === HOUR ? "Records an hour" : `Records every ${duration(stepMs / 1000)}`;
}

/** What the bars show, for those who do not see them. */
export function barsSentence(flow: Flow, said: string): string {
  const { accepted, rejected } = flow.columns;
  const most = Math.max(0, ...accepted);
  const worst = Math.max(0, ...rejected);
  return `${said}: at most ${counted(most, "record")} accepted and ${counted(worst, "record")} rejected in a window`;
}

/** Records a second over the last whole minutes of a feed: what comes now. */
export function rateNow(received: readonly number[], minutes = 2): number {
  const whole = received.slice(-1 - minutes, -1);
  return whole.length === 0 ? 0 : whole.reduce((sum, one) => sum + one, 0) / (whole.length * 60);
}

export function flowPath(startMs: number, every: string | null): string {
  return `/v1/flow?start=${rfc3339(startMs)}${every ? `&every=${every}` : ""}`;
}
