/** What is painted around the lines of a chart: hatches, envelopes, fans, dots, marks, the evidence band. */

import { bandCells } from "./band.ts";
import { indexAt, rings } from "./envelope.ts";
import { gapBoxes, REASONS, singles } from "./gaps.ts";
import type { Look } from "./look.ts";
import { mergeMarks } from "./marks.ts";
import type { ChartModel, ChartSeries, MarkKind, Range, Value } from "./model.ts";

/** Where a pane is on the canvas, in canvas px, and how instants and values become px. `k` is canvas px for a CSS px. */
export interface Frame {
  ctx: CanvasRenderingContext2D;
  left: number;
  top: number;
  width: number;
  height: number;
  k: number;
  range: Range;
  look: Look;
  toX(at: number): number;
  toY(value: number, series: ChartSeries): number;
}

export const RAIL = 14;
export const BAND_GAP = 6;
export const BAND = 10;
const LABEL_ROOM = 116;

/** Runs `draw` with the plot's rectangle as clip. */
export function clipped(frame: Frame, draw: () => void): void {
  const { ctx } = frame;
  ctx.save();
  ctx.beginPath();
  ctx.rect(frame.left, frame.top, frame.width, frame.height);
  ctx.clip();
  draw();
  ctx.restore();
}

let hatchKey = "";
let hatchTile: HTMLCanvasElement | null = null;

/** Diagonal lines, 8 px apart; the tile is made once for a colour and scale. */
function hatchPattern(frame: Frame): CanvasPattern | null {
  const key = `${frame.look.hatch} ${frame.k}`;
  if (key !== hatchKey || !hatchTile) {
    const size = Math.round(8 * frame.k);
    const tile = document.createElement("canvas");
    tile.width = tile.height = size;
    const ctx = tile.getContext("2d");
    if (ctx) {
      ctx.strokeStyle = frame.look.hatch;
      ctx.lineWidth = frame.k;
      ctx.beginPath();
      for (const shift of [-size, 0, size]) {
        ctx.moveTo(shift - 1, size + 1);
        ctx.lineTo(shift + size + 1, -1);
      }
      ctx.stroke();
    }
    [hatchKey, hatchTile] = [key, tile];
  }
  return frame.ctx.createPattern(hatchTile, "repeat");
}

export function hatch(frame: Frame, x: number, y: number, width: number, height: number): void {
  const { ctx, look } = frame;
  ctx.fillStyle = look.gap;
  ctx.fillRect(x, y, width, height);
  const pattern = hatchPattern(frame);
  if (!pattern) return;
  ctx.fillStyle = pattern;
  ctx.fillRect(x, y, width, height);
}

/** Gaps of all shown series, with the reason written where it fits. */
export function paintGaps(frame: Frame, model: ChartModel, shown: string[]): void {
  const { ctx, k } = frame;
  for (const box of gapBoxes(model.gaps, shown, frame.range)) {
    const x = Math.round(frame.toX(box.start));
    const width = Math.max(2 * k, Math.round(frame.toX(box.end)) - x);
    hatch(frame, x, frame.top, width, frame.height - RAIL * k);
    if (width < LABEL_ROOM * k) continue;
    ctx.font = `${12 * k}px ${frame.look.font}`;
    ctx.textAlign = "center";
    ctx.textBaseline = "alphabetic";
    const text = box.why.map((why) => REASONS[why]).join(", ");
    const fitting = ctx.measureText(text).width < width - 16 * k ? text : text.split(";")[0] ?? "";
    if (ctx.measureText(fitting).width > width - 12 * k) continue;
    const y = frame.top + frame.height - (RAIL + 8) * k;
    const half = ctx.measureText(fitting).width / 2 + 5 * k;
    ctx.fillStyle = frame.look.panel;
    ctx.fillRect(x + width / 2 - half, y - 12 * k, 2 * half, 16 * k);
    ctx.fillStyle = frame.look.soft;
    ctx.fillText(fitting, x + width / 2, y);
  }
}

export function paintEnvelope(frame: Frame, model: ChartModel, series: ChartSeries, alpha: number): void {
  if (!series.min || !series.max) return;
  const { ctx, range, look } = frame;
  const first = indexAt(model.time, range.from) - 1;
  const last = indexAt(model.time, range.to) + 1;
  const made = rings(model.time, series.min, series.max, first, last, frame.toX, (value) => frame.toY(value, series));
  const path = new Path2D();
  for (const { points } of made) {
    path.moveTo(points[0] as number, points[1] as number);
    for (let n = 2; n < points.length; n += 2) path.lineTo(points[n] as number, points[n + 1] as number);
    path.closePath();
  }
  ctx.globalAlpha = 0.15 * alpha;
  ctx.fillStyle = colourOf(look, series);
  ctx.fill(path);
  ctx.globalAlpha = 1;
}

export function colourOf(look: Look, series: Pick<ChartSeries, "colour">): string {
  return look.series[(series.colour - 1) % 8] ?? look.ink;
}

/** Points that no line shows; with `all` every point of the view. */
export function paintDots(frame: Frame, model: ChartModel, series: ChartSeries, all: boolean, alpha: number): void {
  const { ctx, k, range } = frame;
  const radius = (all ? 2 : 2.5) * k;
  const first = indexAt(model.time, range.from);
  const last = indexAt(model.time, range.to);
  const indexes = all ? sequence(first, last) : singles(series.values).filter((n) => n >= first && n < last);
  if (!indexes.length) return;
  ctx.fillStyle = colourOf(frame.look, series);
  ctx.globalAlpha = alpha;
  ctx.beginPath();
  for (const n of indexes) {
    const value = series.values[n];
    if (value === null || value === undefined) continue;
    const x = frame.toX(model.time[n] as number);
    const y = frame.toY(value, series);
    ctx.moveTo(x + radius, y);
    ctx.arc(x, y, radius, 0, 2 * Math.PI);
  }
  ctx.fill();
  ctx.globalAlpha = 1;
}

function sequence(first: number, end: number): number[] {
  return Array.from({ length: Math.max(0, end - first) }, (_, n) => first + n);
}

function paintLine(frame: Frame, time: number[], values: Value[], series: ChartSeries, dash: number[], width: number): void {
  const { ctx, k } = frame;
  ctx.beginPath();
  let open = false;
  values.forEach((value, n) => {
    if (value === null) open = false;
    if (value === null || value === undefined) return;
    const x = frame.toX(time[n] as number);
    const y = frame.toY(value, series);
    if (open) ctx.lineTo(x, y);
    else ctx.moveTo(x, y);
    open = true;
  });
  ctx.setLineDash(dash.map((part) => part * k));
  ctx.lineWidth = width * k;
  ctx.strokeStyle = colourOf(frame.look, series);
  ctx.stroke();
  ctx.setLineDash([]);
}

/** Forecasts, from "now" on: a dashed line in its bounds, after a dotted hair. */
export function paintFans(frame: Frame, model: ChartModel, shown: ChartSeries[]): void {
  const { ctx, look } = frame;
  for (const fan of model.fans) {
    const series = shown.find((item) => item.id === fan.series);
    const start = fan.time[0];
    if (!series || start === undefined) continue;
    ctx.beginPath();
    fan.time.forEach((at, n) => ctx.lineTo(frame.toX(at), frame.toY(fan.upper[n] as number, series)));
    for (let n = fan.time.length - 1; n >= 0; n -= 1) ctx.lineTo(frame.toX(fan.time[n] as number), frame.toY(fan.lower[n] as number, series));
    ctx.closePath();
    ctx.globalAlpha = 0.16;
    ctx.fillStyle = colourOf(look, series);
    ctx.fill();
    ctx.globalAlpha = 1;
    paintLine(frame, fan.time, fan.values, series, [5, 4], 1.5);
    hair(frame, start, look.edge, [2, 3]);
  }
}

function hair(frame: Frame, at: number, colour: string, dash: number[]): void {
  const { ctx, k } = frame;
  const x = Math.round(frame.toX(at)) + 0.5;
  ctx.beginPath();
  ctx.moveTo(x, frame.top);
  ctx.lineTo(x, frame.top + frame.height);
  ctx.setLineDash(dash.map((part) => part * k));
  ctx.lineWidth = k;
  ctx.strokeStyle = colour;
  ctx.stroke();
  ctx.setLineDash([]);
}

export function paintSmooth(frame: Frame, model: ChartModel, shown: ChartSeries[]): void {
  for (const smooth of model.smooth) {
    const series = shown.find((item) => item.id === smooth.series);
    // No series has the colour 0: ink.
    if (series) paintLine(frame, smooth.time ?? model.time, smooth.values, smooth.time ? { ...series, colour: 0 } : series, [], 2.5);
  }
}

export function paintChanges(frame: Frame, model: ChartModel): void {
  for (const change of model.changes) {
    if (change.at < frame.range.from || change.at > frame.range.to) continue;
    hair(frame, change.at, frame.look.edge, [1, 2]);
    glyphPath(frame, "changed", frame.toX(change.at), frame.top + 6 * frame.k);
  }
}

/** Rings around unusual values, and rejected values as hollow triangles. */
export function paintOverlays(frame: Frame, model: ChartModel, shown: ChartSeries[], hidden: Set<MarkKind>): void {
  const { ctx, k, look, range } = frame;
  ctx.lineWidth = 1.5 * k;
  ctx.strokeStyle = look.ink;
  for (const item of model.anomalies) {
    const series = shown.find((other) => other.id === item.series);
    if (!series || item.at < range.from || item.at > range.to) continue;
    ctx.beginPath();
    ctx.arc(frame.toX(item.at), frame.toY(item.value, series), 5 * k, 0, 2 * Math.PI);
    ctx.stroke();
  }
  const readable = model.marks.filter((mark) => mark.value !== undefined && mark.at >= range.from && mark.at <= range.to && !hidden.has(mark.kind));
  if (readable.length > 200) return;
  for (const mark of readable) {
    const series = shown.find((other) => other.id === mark.series);
    if (!series) continue;
    ctx.strokeStyle = look.marks[mark.kind];
    const x = frame.toX(mark.at);
    const y = frame.toY(mark.value as number, series);
    ctx.beginPath();
    ctx.moveTo(x - 4.5 * k, y - 4 * k);
    ctx.lineTo(x + 4.5 * k, y - 4 * k);
    ctx.lineTo(x, y + 4.5 * k);
    ctx.closePath();
    ctx.stroke();
  }
}

/** A glyph of 8 px around (x, y). */
function glyphPath(frame: Frame, kind: MarkKind | "changed", x: number, y: number): void {
  const { ctx, k, look } = frame;
  ctx.fillStyle = ctx.strokeStyle = kind === "changed" ? look.soft : look.marks[kind];
  ctx.lineWidth = k;
  ctx.beginPath();
  const to = (dx: number, dy: number) => ctx.lineTo(x + dx * k, y + dy * k);
  switch (kind) {
    case "rejected":
      to(-4, -3.5), to(4, -3.5), to(0, 3.5);
      return ctx.fill();
    case "flagged":
      to(0, -4.2), to(4.2, 0), to(0, 4.2), to(-4.2, 0);
      return ctx.fill();
    case "late":
      ctx.arc(x, y, 3.5 * k, -Math.PI / 2, Math.PI / 2);
      ctx.fill();
      ctx.beginPath();
      ctx.arc(x, y, 3.5 * k, 0, 2 * Math.PI);
      return ctx.stroke();
    case "duplicate":
      ctx.strokeRect(x - 3.5 * k, y - 3.5 * k, 5 * k, 5 * k);
      return ctx.fillRect(x - 1 * k, y - 1 * k, 5 * k, 5 * k);
    case "changed":
      to(-3.5, -1.5), to(3.5, -1.5), to(1.2, -4);
      ctx.stroke();
      ctx.beginPath();
      to(3.5, 1.5), to(-3.5, 1.5), to(-1.2, 4);
      return ctx.stroke();
  }
}

/** The rail in the foot of the plot. */
export function paintRail(frame: Frame, model: ChartModel, hidden: Set<MarkKind>): void {
  const { ctx, k, look } = frame;
  const marks = model.marks.filter((mark) => !hidden.has(mark.kind));
  const y = frame.top + frame.height - (RAIL / 2) * k;
  const groups = mergeMarks(marks, (at) => (frame.toX(at) - frame.left) / k, frame.width / k);
  groups.forEach((group, n) => {
    const x = frame.left + group.x * k;
    glyphPath(frame, group.kind, x, y);
    const next = groups[n + 1];
    if (group.count < 2 || (next && next.x - group.x < 9 + 7 * String(group.count).length)) return;
    ctx.font = `${11 * k}px ${look.font}`;
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    ctx.fillStyle = look.soft;
    ctx.fillText(String(group.count), x + 6 * k, y + 0.5 * k);
  });
}

/** The evidence band under the plot. */
export function paintBand(frame: Frame, model: ChartModel): void {
  const { ctx, k, look } = frame;
  const y = frame.top + frame.height + BAND_GAP * k;
  for (const cell of bandCells(model.band, frame.range, frame.width / k)) {
    const from = Math.max(frame.left, Math.round(frame.toX(cell.start)));
    const to = Math.min(frame.left + frame.width, Math.round(frame.toX(cell.end)));
    const width = Math.max(k, to - from - Math.round(k * 0.8));
    if (to <= from) continue;
    if (cell.empty) {
      hatch(frame, from, y, Math.max(k, to - from), BAND * k);
    } else if (cell.n > 0) {
      ctx.globalAlpha = 0.12 + 0.88 * cell.strength;
      ctx.fillStyle = look.accepted;
      ctx.fillRect(from, y, width, BAND * k);
      ctx.globalAlpha = 1;
    }
    if (cell.restated) {
      ctx.lineWidth = 1.5 * k;
      ctx.strokeStyle = look.ink;
      ctx.strokeRect(from + 0.75 * k, y + 0.75 * k, width - 1.5 * k, (BAND - 1.5) * k);
    }
    if (cell.sealed) paintLock(frame, (from + to) / 2, y);
  }
}

function paintLock(frame: Frame, x: number, y: number): void {
  const { ctx, k, look } = frame;
  ctx.fillStyle = ctx.strokeStyle = look.soft;
  ctx.lineWidth = k;
  ctx.fillRect(x - 2.5 * k, y + 4.5 * k, 5 * k, 4 * k);
  ctx.beginPath();
  ctx.arc(x, y + 4.5 * k, 1.7 * k, Math.PI, 0);
  ctx.stroke();
}
