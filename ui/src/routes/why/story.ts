/** What a story comes to on the page: its address, glyphs of its events, days and elapsed times, links of the page. */
import type { components } from "$lib/api/api";
import type { GlyphName } from "$lib/states/glyphs";
import { href, type QueryOf } from "$lib/url/match";

export type Story = components["schemas"]["Story"];
export type Event = components["schemas"]["Event"];
export type WhyQuery = QueryOf<"why">;

/** The request of a query; null while it names no series or no instant. */
export function storyPath(query: WhyQuery): string | null {
  if (query.time === "" || (query.series === "" && query.feed === "")) return null;
  const asked = new URLSearchParams();
  if (query.series) asked.set("series", query.series);
  else {
    asked.set("feed", query.feed);
    if (query.field) asked.set("field", query.field);
    for (const [name, values] of Object.entries(query["tag.*"])) if (values[0]) asked.set(`tag.${name}`, values[0]);
  }
  asked.set("time", query.time);
  return `/v1/why?${asked.toString().replaceAll("%3A", ":")}`;
}

interface Look {
  glyph: GlyphName;
  /** The class of its colour. */
  tone: string;
}

const LOOKS: Readonly<Record<string, Look>> = {
  received: { glyph: "received", tone: "soft" },
  replayed: { glyph: "replayed", tone: "accepted" },
  accepted: { glyph: "accepted", tone: "accepted" },
  recovered: { glyph: "accepted", tone: "accepted" },
  null_value: { glyph: "waiting", tone: "soft" },
  flagged: { glyph: "flagged", tone: "flagged" },
  rejected: { glyph: "rejected", tone: "rejected" },
  possibly_rejected: { glyph: "rejected", tone: "rejected" },
  duplicate_lost: { glyph: "duplicate", tone: "duplicate" },
  duplicate_won: { glyph: "duplicate", tone: "duplicate" },
  replaced: { glyph: "changed", tone: "accepted" },
  changed: { glyph: "changed", tone: "accepted" },
  window_touched: { glyph: "window", tone: "accepted" },
  window_restated: { glyph: "window", tone: "accepted" },
  window_sealed: { glyph: "window", tone: "late" },
  waiting: { glyph: "waiting", tone: "soft" },
};

export function lookOf(event: string): Look {
  return LOOKS[event] ?? { glyph: "waiting", tone: "soft" };
}

/** The glyph of a verdict and the colour of its edge, by its state. */
export function verdictLook(state: string, flagged: boolean): Look {
  if (state === "stands") return flagged ? { glyph: "flagged", tone: "flagged" } : { glyph: "accepted", tone: "accepted" };
  if (state === "rejected" || state === "possibly_rejected") return { glyph: "rejected", tone: "rejected" };
  if (state === "expired") return { glyph: "window", tone: "late" };
  return { glyph: "waiting", tone: "soft" };
}

/** The link of the page for a link of the API; null where the page shows nothing of it. */
export function pageLink(link: string): string | null {
  const [path = "", search = ""] = link.split("?");
  const parts = path.split("/").filter(Boolean);
  const query = new URLSearchParams(search);
  if (parts[1] === "receipts" && parts[2]) return href("receipts", parts[3] === "payload" ? { view: "bytes" } : {}, { receipt: parts[2] });
  if (parts[1] === "series" && parts[2] && parts[3] === "lineage" && query.has("window")) return href("why", { series: parts[2], window: query.get("window") ?? "" });
  if (parts[1] === "series" && parts[2] && parts.length === 3) return href("explore", { s: [parts[2]] });
  if (parts[1] === "why") return `/why?${search}`;
  if (parts[1] === "rejections") {
    const [from, to] = [query.get("time_start") ?? query.get("start"), query.get("time_end") ?? query.get("end")];
    const by = query.has("time_start") ? "time" : "received";
    return href("ledger", { feed: query.get("feed") ?? "", series: query.get("series") ?? "", receipt: query.get("receipt") ?? "", by, ...(from ? { from } : {}), ...(to ? { to } : {}) });
  }
  return null;
}

/** What an event's link is called. */
export const LINK_WORD: Readonly<Record<string, string>> = {
  receipt: "Receipt",
  payload: "Bytes",
  loser: "Receipt of the duplicate",
  lineage: "Lineage of the window",
  series: "Series",
};

/** The record that a story is about: that of the value that stands, else of the last rejection. */
export function recordOf(story: Story): { receipt: string; index: number } | null {
  const whole = [...story.events].reverse().filter((event) => event.facts.receipt !== undefined && event.facts.index !== undefined);
  const best = whole.find((event) => event.event === "accepted" && story.verdict.state === "stands") ?? whole.find((event) => event.event === "rejected") ?? whole[0];
  return best ? { receipt: best.facts.receipt as string, index: best.facts.index as number } : null;
}

/** Whether nothing ever came of the instant: then the source's polls are its story. */
export function neverCame(story: Story): boolean {
  return story.verdict.state === "never_received";
}
