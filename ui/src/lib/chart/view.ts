/** What is in view: zoom and pan of a range of time. Pure; ranges are in ms and have at least `LEAST` and at most `MOST`. */

import type { Range } from "./model.ts";
import { DAY } from "$lib/format/zone";

export const LEAST = 0.01;
export const MOST = 400 * 366 * DAY;

/** The range with an allowed length, around its middle. */
export function bounded(range: Range): Range {
  const span = range.to - range.from;
  const allowed = Math.min(Math.max(span, LEAST), MOST);
  if (allowed === span) return range;
  const middle = (range.from + range.to) / 2;
  return { from: middle - allowed / 2, to: middle + allowed / 2 };
}

/** `factor` below 1 zooms in; the instant `at` keeps its place. */
export function zoom(range: Range, factor: number, at = (range.from + range.to) / 2): Range {
  const span = range.to - range.from;
  const allowed = Math.min(Math.max(span * factor, LEAST), MOST);
  const share = (at - range.from) / span;
  return { from: at - share * allowed, to: at + (1 - share) * allowed };
}

/** Moved by `share` of its length; above 0 to later. */
export function pan(range: Range, share: number): Range {
  const by = (range.to - range.from) * share;
  return { from: range.from + by, to: range.to + by };
}

/** Two fingers: the instants `a` and `b` under them come to lie at the shares `x` and `y` of the width. */
export function pinch(a: number, b: number, x: number, y: number): Range | null {
  if (Math.abs(y - x) < 0.01 || a === b) return null;
  const perShare = (b - a) / (y - x);
  if (perShare <= 0) return null;
  const from = a - x * perShare;
  return bounded({ from, to: from + perShare });
}

/** What a key does to a chart. */
export type KeyAction =
  | { do: "step"; windows?: number; share?: number; to?: "first" | "last" }
  | { do: "zoom"; factor: number }
  | { do: "pan"; share: number }
  | { do: "all" | "why" | "table" | "unpin" }
  | { do: "series"; by: 1 | -1 }
  | { do: "mark"; by: 1 | -1 };

/** The action of a key; null: the key is not the chart's. */
export function keyAction(key: string, shift: boolean): KeyAction | null {
  switch (key) {
    case "ArrowLeft":
      return shift ? { do: "step", share: -0.25 } : { do: "step", windows: -1 };
    case "ArrowRight":
      return shift ? { do: "step", share: 0.25 } : { do: "step", windows: 1 };
    case "Home":
      return { do: "step", to: "first" };
    case "End":
      return { do: "step", to: "last" };
    case "+":
    case "=":
      return { do: "zoom", factor: 0.5 };
    case "-":
    case "_":
      return { do: "zoom", factor: 2 };
    case "0":
      return { do: "all" };
    case "[":
      return { do: "pan", share: -0.25 };
    case "]":
      return { do: "pan", share: 0.25 };
    case "ArrowUp":
      return { do: "series", by: -1 };
    case "ArrowDown":
      return { do: "series", by: 1 };
    case "n":
      return { do: "mark", by: 1 };
    case "p":
      return { do: "mark", by: -1 };
    case "Enter":
      return { do: "why" };
    case "m":
      return { do: "table" };
    case "Escape":
      return { do: "unpin" };
    default:
      return null;
  }
}
