/** What kind of end a rejected record came to, by its reason: what its glyph and its colour say. */

export const CLASSES = ["rejected", "late", "duplicate"] as const;
export type LedgerClass = (typeof CLASSES)[number];

export const CLASS_WORD: Record<LedgerClass, string> = {
  rejected: "broke a rule",
  late: "too late",
  duplicate: "duplicate",
};

const LATE = new Set(["late", "too_old", "window_sealed"]);
const DUPLICATE = new Set(["duplicate", "duplicate_time"]);

export function classOf(reason: string): LedgerClass {
  return LATE.has(reason) ? "late" : DUPLICATE.has(reason) ? "duplicate" : "rejected";
}

/** Counts by reason as counts by class. */
export function byClass(byReason: Readonly<Record<string, number>>): Record<LedgerClass, number> {
  const counts: Record<LedgerClass, number> = { rejected: 0, late: 0, duplicate: 0 };
  for (const [reason, count] of Object.entries(byReason)) counts[classOf(reason)] += count;
  return counts;
}
