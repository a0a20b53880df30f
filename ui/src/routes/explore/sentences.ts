/** What Explore says: the status under the chart, the name of the chart, the title of the page. */

import { gapBoxes, REASONS } from "$lib/chart/gaps";
import type { ChartModel, Range } from "$lib/chart/model";
import { count, counted, listText } from "$lib/format/numbers";
import { rangeLabel, spanText } from "$lib/format/time";
import { lengthText } from "./choice.ts";

export interface Answered {
  /** The length of windows; null: points. */
  every: string | null;
  windows: number;
  points: number;
  tookMs: number;
  /** Whether the answer was cut at its limit. */
  more: boolean;
  source: string;
}

/** "480 windows of 3 min from 20,789 points" */
export function countSentence(answered: Answered): string {
  const points = counted(answered.points, "point");
  if (answered.every === null) return answered.more ? `the first ${points}; narrow the range to see the others` : `${points}, each drawn`;
  const windows = `${counted(answered.windows, "window")} of ${lengthText(answered.every)}`;
  return `${windows} from ${points}${answered.source === "rollups" ? ", by rollups" : ""}`;
}

export function tookSentence(answered: Answered): string {
  return `answered in ${answered.tookMs < 10 ? answered.tookMs.toFixed(1) : count(Math.round(answered.tookMs))} ms`;
}

export interface GapSentence {
  text: string;
  start: number;
  end: number;
}

/** The longest gaps in view, in order: "10:15 to 11:18: never received; the source was not reached". */
export function gapSentences(model: ChartModel, hidden: ReadonlySet<string>, view: Range, zone: string, most = 3): { gaps: GapSentence[]; more: number } {
  const shown = model.series.filter((series) => !hidden.has(series.id)).map((series) => series.id);
  const least = (view.to - view.from) / 400;
  const boxes = gapBoxes(model.gaps, shown, view).filter((box) => box.end - box.start >= least);
  const longest = [...boxes].sort((a, b) => b.end - b.start - (a.end - a.start)).slice(0, most).sort((a, b) => a.start - b.start);
  return {
    gaps: longest.map((box) => ({
      start: box.start,
      end: box.end,
      text: `${spanText(box.start, box.end, zone)}: ${box.why.map((why) => REASONS[why]).join(", ")}`,
    })),
    more: boxes.length - longest.length,
  };
}

/** "p1 · bar, p2 · bar and p7 · bar, 29 Nov, 24 h; a gap 10:15 to 11:18" */
export function chartName(model: ChartModel, hidden: ReadonlySet<string>, view: Range, zone: string): string {
  const labels = model.series.filter((series) => !hidden.has(series.id)).map((series) => series.label);
  const { gaps, more } = gapSentences(model, hidden, view, zone, 1);
  const gap = gaps[0] ? `; ${more ? `${more + 1} gaps, the longest` : "a gap"} ${spanText(gaps[0].start, gaps[0].end, zone)}` : "";
  return `${labels.length ? listText(labels) : "No series"}, ${rangeLabel(view.from, view.to, zone)}${gap}`;
}
