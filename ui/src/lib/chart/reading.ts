/** What a chart shows at an instant, as data: for the readout, and as a sentence for the live region. */

import { value as valueText } from "$lib/format/numbers";
import { exactFor, instantText } from "$lib/format/time";
import { indexAt, nearest } from "./envelope.ts";
import { REASONS } from "./gaps.ts";
import { markText } from "./marks.ts";
import type { ChartModel, ChartSeries, Mark, MarkKind, Value } from "./model.ts";

export interface Reading {
  /** The instant at which values are drawn, and the interval that they are of. */
  at: number;
  start: number;
  end: number;
  index: number;
  values: { series: ChartSeries; value: Value; min: Value; max: Value; n: number | null; expected: number | null }[];
  marks: Pick<Mark, "kind" | "count" | "reasons">[];
  changes: string[];
  gaps: string[];
  forecast: { series: string; value: number; lower: number; upper: number; level: string }[];
}

/** The reading nearest to an instant; null where the chart has nothing at all. `reach` is how far marks may lie, in ms. */
export function readingAt(model: ChartModel, at: number, shown: ChartSeries[], reach: number): Reading | null {
  const last = model.time[model.time.length - 1];
  const fans = model.fans.filter((fan) => shown.some((item) => item.id === fan.series));
  if (last !== undefined && at > last + reach && fans.some((fan) => (fan.time[0] ?? Infinity) <= at + reach)) return forecastAt(fans, at);
  const index = nearest(model.time, at);
  if (index < 0) return null;
  const drawn = model.time[index] as number;
  const start = model.starts?.[index] ?? drawn;
  const end = model.ends?.[index] ?? drawn;
  const from = Math.min(start, drawn - reach);
  const to = Math.max(end, drawn + reach);
  const ids = new Set(shown.map((item) => item.id));
  return {
    at: drawn,
    start,
    end,
    index,
    values: shown.map((series) => ({
      series,
      value: series.values[index],
      min: series.min?.[index],
      max: series.max?.[index],
      n: series.n?.[index] ?? null,
      expected: series.expected?.[index] ?? null,
    })),
    marks: countMarks(model.marks.filter((mark) => mark.at >= from && mark.at < to && (!mark.series || ids.has(mark.series)))),
    changes: model.changes.filter((change) => change.at >= from && change.at < to).map((change) => change.reason),
    gaps: [...new Set(model.gaps.filter((gap) => ids.has(gap.series) && gap.start <= drawn && drawn < gap.end).map((gap) => REASONS[gap.why]))],
    forecast: [],
  };
}

function forecastAt(fans: ChartModel["fans"], at: number): Reading {
  const first = fans[0] as ChartModel["fans"][number];
  const index = nearest(first.time, at);
  const drawn = first.time[index] as number;
  const forecast = fans.map((fan) => {
    const n = Math.min(nearest(fan.time, at), fan.values.length - 1);
    return { series: fan.series, value: fan.values[n] as number, lower: fan.lower[n] as number, upper: fan.upper[n] as number, level: fan.level };
  });
  return { at: drawn, start: drawn, end: drawn, index: -1, values: [], marks: [], changes: [], gaps: [], forecast };
}

function countMarks(marks: Mark[]): Reading["marks"] {
  const byKind = new Map<MarkKind, { kind: MarkKind; count: number; reasons: string[] }>();
  for (const mark of marks) {
    const sum = byKind.get(mark.kind) ?? { kind: mark.kind, count: 0, reasons: [] };
    sum.count += mark.count;
    for (const reason of mark.reasons) if (!sum.reasons.includes(reason)) sum.reasons.push(reason);
    byKind.set(mark.kind, sum);
  }
  return [...byKind.values()];
}

/** The sentence that is spoken: "29 Nov 14:42 +01:00. p1 · bar 4.99 bar, 16 of 18 points. 2 rejected." */
export function spoken(reading: Reading, zone: string, apart: number): string {
  const parts = [instantText(reading.start, zone, exactFor(apart))];
  for (const { series, value, n, expected } of reading.values) {
    const count = n !== null && expected !== null ? `, ${n} of ${Math.round(expected)} points` : "";
    parts.push(`${series.label} ${valueText(value)}${value === null || value === undefined ? "" : ` ${series.unit}`}${count}`);
  }
  for (const item of reading.forecast) parts.push(`forecast ${valueText(item.value)}, between ${valueText(item.lower)} and ${valueText(item.upper)}`);
  parts.push(...reading.gaps, ...reading.marks.map(markText), ...reading.changes);
  return `${parts.join(". ")}.`;
}

/** The index after moving by whole windows, skipping instants at which no shown series has a value or a gap. */
export function stepIndex(model: ChartModel, shown: ChartSeries[], index: number, by: number): number {
  let at = index;
  for (let n = index + by; n >= 0 && n < model.time.length; n += by) {
    if (shown.some((series) => series.values[n] !== undefined)) {
      at = n;
      break;
    }
  }
  return at;
}

/** First and last index in a range that are drawn; null: none. */
export function indexesIn(model: ChartModel, from: number, to: number): [number, number] | null {
  const first = indexAt(model.time, from);
  const last = indexAt(model.time, to) - 1;
  return first <= last ? [first, last] : null;
}
