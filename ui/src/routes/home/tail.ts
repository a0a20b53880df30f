/** The lines of the live tail: a sentence for each payload; over ten a second, one for each feed and second. */
import { counted } from "$lib/format/numbers";
import type { GlyphName } from "$lib/states/glyphs";

/** What is said of one payload: an item of `/v1/receipts`, or an event `receipt` of the stream. */
export interface Receipt {
  /** Another for each that was told of: the sums of a stream may name one payload twice. */
  key: number;
  receipt: string;
  feed: string;
  receivedAt: string;
  payloads: number;
  accepted: number;
  rejected: number;
  flagged: number;
  waiting: boolean;
  reasons: Readonly<Record<string, number>>;
}

export interface Line {
  key: number;
  at: number;
  glyph: GlyphName;
  feed: string;
  /** After the feed: "12 records, all accepted". */
  text: string;
  /** A code at the end, in mono. */
  code: string;
  href: string;
}

export function lineOf(receipt: Receipt): Line {
  const { accepted, rejected, reasons, feed } = receipt;
  const at = Date.parse(receipt.receivedAt);
  const most = Object.entries(reasons).sort((a, b) => b[1] - a[1])[0]?.[0] ?? "";
  const rest = { key: receipt.key, at, feed, href: hrefOf(receipt) };
  if (receipt.waiting) return { ...rest, glyph: "waiting", text: "received, waits to be applied", code: "" };
  const several = receipt.payloads > 1 ? ` in ${counted(receipt.payloads, "payload")}` : "";
  if (rejected > 0) {
    const glyph = most === "duplicate" ? "duplicate" : "rejected";
    const text = accepted > 0 ? `${rejected} of ${counted(accepted + rejected, "record")}${several} rejected:` : `${counted(rejected, "record")}${several} rejected:`;
    return { ...rest, glyph, text, code: most };
  }
  const records = `${counted(accepted, "record")}${several}`;
  if (receipt.flagged > 0) return { ...rest, glyph: "flagged", text: `${records}, ${receipt.flagged} flagged`, code: most };
  return { ...rest, glyph: "accepted", text: accepted > 1 ? `${records}, all accepted` : records, code: "" };
}

function hrefOf(receipt: Receipt): string {
  return receipt.payloads > 1 ? `/ledger?feed=${encodeURIComponent(receipt.feed)}` : `/receipts/${receipt.receipt}`;
}

/** The newest `most` lines, newest first; several of one feed in one second are one line when more than `crowd` came
 *  within that second. */
export function grouped(receipts: readonly Receipt[], most: number, crowd = 10): Line[] {
  const second = (receipt: Receipt) => Math.floor(Date.parse(receipt.receivedAt) / 1000);
  const bySecond = groupBy(receipts, second);
  const lines: Line[] = [];
  for (const [, all] of [...bySecond].sort((a, b) => b[0] - a[0])) {
    const rows = all.length > crowd ? [...groupBy(all, (one) => one.feed).values()].map(together) : all;
    lines.push(...rows.map(lineOf).sort((a, b) => b.at - a.at));
    if (lines.length >= most) break;
  }
  return lines.slice(0, most);
}

/** Several receipts of one feed as one. */
function together(receipts: readonly Receipt[]): Receipt {
  const [newest, ...others] = receipts as [Receipt, ...Receipt[]];
  const reasons: Record<string, number> = { ...newest.reasons };
  for (const one of others) {
    for (const [code, amount] of Object.entries(one.reasons)) reasons[code] = (reasons[code] ?? 0) + amount;
  }
  const sum = (of: (one: Receipt) => number) => receipts.reduce((total, one) => total + of(one), 0);
  return {
    ...newest,
    reasons,
    payloads: sum((one) => one.payloads),
    accepted: sum((one) => one.accepted),
    rejected: sum((one) => one.rejected),
    flagged: sum((one) => one.flagged),
    waiting: receipts.every((one) => one.waiting),
  };
}

function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}
