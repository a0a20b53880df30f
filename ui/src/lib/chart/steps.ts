/** Where a key leads to on a chart: to another drawn instant, or to the next mark. */

import { nearest } from "./envelope.ts";
import { nextMark } from "./marks.ts";
import type { ChartModel, ChartSeries, Mark, Range } from "./model.ts";
import { indexesIn, type Reading, stepIndex } from "./reading.ts";
import type { KeyAction } from "./view.ts";

/** The instant (ms) that a step leads to; null: nothing is drawn in view. Without a reading it starts at an edge. */
export function stepTarget(model: ChartModel, shown: ChartSeries[], view: Range, reading: Reading | null, action: KeyAction & { do: "step" }): number | null {
  const span = indexesIn(model, view.from, view.to);
  if (!span) return null;
  const at = (index: number) => model.time[index] as number;
  if (action.to) return at(action.to === "first" ? span[0] : span[1]);
  if (!reading || reading.index < 0) return at((action.windows ?? action.share ?? 0) > 0 ? span[0] : span[1]);
  if (action.share) return at(nearest(model.time, at(reading.index) + action.share * (view.to - view.from)));
  return at(stepIndex(model, shown, reading.index, action.windows ?? 1));
}

/** The instant of the next mark in view, forth or back; null: there is none. Marks `apart` / 2 ms away are the same one. */
export function markTarget(marks: Mark[], view: Range, reading: Reading | null, by: 1 | -1, apart: number): number | null {
  const from = reading?.at ?? (by > 0 ? view.from - 1 : view.to + 1);
  const inView = marks.filter((mark) => mark.at >= view.from && mark.at <= view.to);
  return nextMark(inView.filter((mark) => Math.abs(mark.at - from) > apart / 2), from, by);
}
