/** The state of a source and the results of its polls, in words. */
import type { components } from "$lib/api/api";
import { ago, duration, roughly } from "$lib/format/time";

export type SourceItem = components["schemas"]["SourceItem"];
export type PollItem = components["schemas"]["PollItem"];
export type PollSummary = components["schemas"]["PollSummary"];

const WORDS: Partial<Record<SourceItem["state"], string>> = { ok: "data", empty: "nothing there", unchanged: "nothing new", slow: "data, slowly" };

export function isFailing(item: Pick<SourceItem, "state">): boolean {
  return item.state === "failing" || item.state === "open";
}

/** "data, 14 s ago"; "503 for 6 min". */
export function sourceSays(item: SourceItem, now: number): string {
  if (isFailing(item)) {
    const what = item.last_status && item.last_status >= 400 ? String(item.last_status) : (item.reason ?? "not reached").replaceAll("_", " ");
    return item.since_at ? `${what} for ${roughly((now - Date.parse(item.since_at)) / 1000)}` : what;
  }
  const word = WORDS[item.state] ?? item.state;
  return item.last_poll_at ? `${word}, ${ago(Date.parse(item.last_poll_at), now)}` : `${word}, not asked yet`;
}

/** When a source is asked next: "in 38 s", "now". */
export function nextSays(item: SourceItem, now: number): string {
  const next = item.next_try_at === null ? null : Date.parse(item.next_try_at);
  if (next === null) return "not known";
  return next > now + 1000 ? ago(next, now) : "now";
}

/** What a poll came to. `unpolled`: nobody asked. */
export const KINDS = ["data", "empty", "unusable", "unreached", "unpolled"] as const;
export type Kind = (typeof KINDS)[number];

export const KIND_WORD: Record<Kind, string> = { data: "data", empty: "empty", unusable: "unusable", unreached: "not reached", unpolled: "not asked" };

const REACHED = new Set(["data", "unchanged", "truncated"]);

export function kindOf(poll: Pick<PollItem, "result" | "status">): Kind {
  if (poll.result === "empty") return "empty";
  if (REACHED.has(poll.result)) return "data";
  return poll.status ? "unusable" : "unreached";
}

/** "The source was reached 99.2 % of the time; the longest outage took 6 min." */
export function outageSays(summary: PollSummary, instant: (text: string) => string): string {
  const outage = summary.longest_outage;
  if (summary.polls === 0) return "No poll began in this range.";
  if (!outage) return "It was reached at every poll.";
  const end = outage.end === null ? "and goes on" : `to ${instant(outage.end)}`;
  return `The longest outage took ${duration(outage.seconds)} (${outage.polls} polls, ${outage.result.replaceAll("_", " ")}): from ${instant(outage.start)} ${end}.`;
}

export interface Run {
  kind: Kind;
  /** [first, end) of the cells. */
  first: number;
  end: number;
}

const WORST: readonly Kind[] = ["unreached", "unusable", "data", "empty", "unpolled"];
const SLACK_MS = 60_000;

/** The polls of one item as runs of equal cells of [start, end). A poll speaks for the time until the next one, or until
 *  that was due if it came more than a minute late; a cell shows the worst that it holds. Nothing is said of the time
 *  before the first poll. */
export function runsOf(polls: readonly PollItem[], start: number, end: number, cells: number): Run[] {
  const sorted = polls.map((poll) => ({ at: Date.parse(poll.started_at), due: poll.next_due === null ? null : Date.parse(poll.next_due), kind: kindOf(poll) })).sort((a, b) => a.at - b.at);
  const kinds: (Kind | null)[] = new Array<Kind | null>(cells).fill(null);
  const width = (end - start) / cells;
  const paint = (from: number, to: number, kind: Kind) => {
    for (let n = Math.max(0, Math.floor((from - start) / width)); n < Math.min(cells, Math.ceil((to - start) / width)); n += 1) {
      const there = kinds[n];
      if (!there || WORST.indexOf(kind) < WORST.indexOf(there)) kinds[n] = kind;
    }
  };
  sorted.forEach(({ at, due, kind }, n) => {
    const next = sorted[n + 1]?.at ?? end;
    const until = due === null ? next : Math.min(next, Math.max(at, due) + SLACK_MS);
    paint(at, until, kind);
    if (until < next) paint(until, next, "unpolled");
  });
  const runs: Run[] = [];
  kinds.forEach((kind, n) => {
    const last = runs[runs.length - 1];
    if (kind && last && last.kind === kind && last.end === n) last.end = n + 1;
    else if (kind) runs.push({ kind, first: n, end: n + 1 });
  });
  return runs;
}
