/** Marks of the rail: those of one kind that would touch are one mark with a count. */

import type { Mark, MarkKind } from "./model.ts";

export interface MarkGroup {
  kind: MarkKind;
  /** The instants of the first and the last mark. */
  at: number;
  to: number;
  /** px, the middle of the group. */
  x: number;
  count: number;
  series: string[];
  reasons: string[];
}

const KIND_ORDER: MarkKind[] = ["rejected", "flagged", "late", "duplicate"];

/** Groups of marks between 0 and `width`, by x then kind. A group reaches over less than `apart` px from its first mark. */
export function mergeMarks(marks: Mark[], toX: (at: number) => number, width: number, apart = 6): MarkGroup[] {
  const open = new Map<MarkKind, { group: MarkGroup; first: number; last: number }>();
  const groups: MarkGroup[] = [];
  for (const mark of [...marks].sort((a, b) => a.at - b.at)) {
    const x = toX(mark.at);
    if (x < 0 || x > width) continue;
    const current = open.get(mark.kind);
    if (current && x - current.first < apart) {
      current.last = x;
      const { group } = current;
      group.to = mark.at;
      group.count += mark.count;
      group.x = (current.first + x) / 2;
      for (const name of mark.series ? [mark.series] : []) if (!group.series.includes(name)) group.series.push(name);
      for (const reason of mark.reasons) if (!group.reasons.includes(reason)) group.reasons.push(reason);
      continue;
    }
    const group = { kind: mark.kind, at: mark.at, to: mark.at, x, count: mark.count, series: mark.series ? [mark.series] : [], reasons: [...mark.reasons] };
    open.set(mark.kind, { group, first: x, last: x });
    groups.push(group);
  }
  return groups.sort((a, b) => a.x - b.x || KIND_ORDER.indexOf(a.kind) - KIND_ORDER.indexOf(b.kind));
}

const NOUNS: Record<MarkKind, string> = { rejected: "rejected", flagged: "flagged", late: "late", duplicate: "duplicate" };

/** "2 rejected: outside_range" */
export function markText(group: Pick<MarkGroup, "kind" | "count" | "reasons">): string {
  const reasons = group.reasons.filter((reason) => reason !== group.kind);
  return `${group.count.toLocaleString()} ${NOUNS[group.kind]}${reasons.length ? `: ${reasons.join(", ")}` : ""}`;
}

/** The instant of the next mark after `at` (or with `step` -1 before it); null: none. */
export function nextMark(marks: Mark[], at: number, step: 1 | -1): number | null {
  const instants = marks.map((mark) => mark.at).filter((other) => (step > 0 ? other > at : other < at));
  if (!instants.length) return null;
  return instants.reduce((best, other) => (step > 0 ? Math.min(best, other) : Math.max(best, other)));
}
