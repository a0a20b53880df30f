/** Places on the time axis for the keyboard: marks of the rail and cells of the evidence band, each with its sentence. */

import { percent } from "$lib/format/numbers";
import { exactFor, instantText } from "$lib/format/time";
import { bandCells } from "./band.ts";
import { markText, mergeMarks } from "./marks.ts";
import type { BandWindow, Mark, Range } from "./model.ts";

export interface Place {
  key: string;
  /** px from the left edge of the row. */
  x: number;
  width: number;
  label: string;
  /** The instant that it stands for, in ms. */
  at: number;
}

/** What places are made for: the range in view, the px of the plot, the zone, and ms from one drawn instant to the next. */
export interface Axis {
  range: Range;
  width: number;
  zone: string;
  apart: number;
}

export function xOn({ range, width }: Pick<Axis, "range" | "width">, at: number): number {
  return ((at - range.from) / (range.to - range.from)) * width;
}

/** Marks that lie in view, those of one kind that touch as one. */
export function railPlaces(marks: Mark[], axis: Axis): Place[] {
  return mergeMarks(marks, (at) => xOn(axis, at), axis.width).map((group, n) => ({
    key: `${group.kind}${group.at}.${n}`,
    x: group.x - 8,
    width: 16,
    at: (group.at + group.to) / 2,
    label: `${markText(group)}, ${instantText(group.at, axis.zone, exactFor(axis.apart))}`,
  }));
}

export function bandPlaces(windows: BandWindow[], axis: Axis): Place[] {
  return bandCells(windows, axis.range, axis.width).map((cell) => {
    const x = Math.max(0, xOn(axis, cell.start));
    const came = cell.coverage === null ? `${cell.n} points` : `${percent(cell.coverage)} of what was due`;
    return {
      key: String(cell.start),
      x,
      width: Math.max(6, xOn(axis, cell.end) - x),
      at: (cell.start + cell.end) / 2,
      label: `${came}${cell.restated ? ", restated" : ""}${cell.sealed ? ", sealed" : ""}, ${instantText(cell.start, axis.zone, exactFor(axis.apart))}`,
    };
  });
}
