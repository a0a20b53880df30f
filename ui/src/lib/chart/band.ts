/** The evidence band: how much of what was due came, cell by cell. */

import type { BandWindow, Range } from "./model.ts";

export interface BandCell {
  start: number;
  end: number;
  n: number;
  expected: number | null;
  /** 0 to 1; null: not known how many points are due. */
  coverage: number | null;
  /** Opacity: coverage to the fourth, so that one missing point in twenty is seen. */
  strength: number;
  empty: boolean;
  restated: boolean;
  sealed: boolean;
}

/** Cells of at least `least` px: windows that are narrower are counted as one. */
export function bandCells(windows: BandWindow[], range: Range, width: number, least = 6): BandCell[] {
  const perPx = (range.to - range.from) / Math.max(width, 1);
  const cells: BandCell[] = [];
  let sum: BandWindow | null = null;
  for (const window of windows) {
    if (window.end <= range.from || window.start >= range.to) continue;
    sum = sum === null ? { ...window } : add(sum, window);
    if (sum.end - sum.start < least * perPx) continue;
    cells.push(cell(sum));
    sum = null;
  }
  if (sum) cells.push(cell(sum));
  return cells;
}

/** Counts a window to a sum, which is changed. */
function add(sum: BandWindow, window: BandWindow): BandWindow {
  sum.end = window.end;
  sum.n += window.n;
  sum.expected = sum.expected === null || window.expected === null ? null : sum.expected + window.expected;
  sum.restated ||= window.restated;
  sum.sealed ||= window.sealed;
  return sum;
}

function cell(window: BandWindow): BandCell {
  const due = window.expected;
  const coverage = due === null ? null : due <= 0 ? 1 : Math.min(1, window.n / due);
  return {
    ...window,
    coverage,
    strength: coverage === null ? (window.n ? 0.35 : 0) : coverage ** 4,
    empty: window.n === 0 && (due === null || due > 0),
  };
}

/** The share of what was due that came, over windows; null where it is not known for any. */
export function coverageOf(windows: { n: number; expected: number | null }[]): number | null {
  const known = windows.filter((window) => window.expected !== null);
  const due = known.reduce((sum, window) => sum + (window.expected as number), 0);
  if (!due) return null;
  const came = known.reduce((sum, window) => sum + Math.min(window.n, window.expected as number), 0);
  return Math.min(1, came / due);
}
