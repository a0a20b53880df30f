/**
 * One pane of a chart on uPlot, which draws axes, grid and lines; `paint` draws the rest in its hooks. This is the only
 * module that knows uPlot. Cursor, legend and gestures of uPlot are off: the component has its own.
 */

import uPlot from "uplot";
import "./plot.css";
import { indexAt } from "./envelope.ts";
import type { Look } from "./look.ts";
import type { ChartModel, ChartSeries, MarkKind, Range } from "./model.ts";
import {
  BAND, BAND_GAP, clipped, colourOf, type Frame, paintBand, paintChanges, paintDots, paintEnvelope, paintFans, paintGaps, paintOverlays,
  paintRail, paintSmooth,
} from "./paint.ts";
import { axisRange, axisText, extent, logTicks, valueTicks, withRejected, type YChoice } from "./scale.ts";
import { type Tick, timeTicks } from "./ticks.ts";

export interface PlotOptions {
  width: number;
  height: number;
  /** The units of the left and the right axis, in that order; one or two. */
  units: string[];
  zone: string;
  y: YChoice;
  /** Whether this pane has the rail, the evidence band and the labels of time. */
  foot: boolean;
  band: boolean;
  /** Series that the legend hides; one that is lifted above the others. */
  hidden: Set<string>;
  lifted: string | null;
  hiddenMarks: Set<MarkKind>;
  look: Look;
  /** px for a CSS px; 2 for a picture of twice the size. */
  scale: number;
}

/** Where the plot itself is in its pane, in CSS px. */
export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

export const AXIS_LEFT = 60;

/** px of the foot below the plot: the evidence band, then labels of time. */
export function footHeight(options: Pick<PlotOptions, "foot" | "band">): number {
  return options.foot ? (options.band ? BAND_GAP + BAND : 0) + 26 : 8;
}

export class Plot {
  readonly #u: uPlot;
  #model: ChartModel;
  #options: PlotOptions;
  #range: Range;
  #members: ChartSeries[];
  #frozen = new Map<string, [number, number]>();
  #holding = false;
  #ticks: Tick[] = [];

  constructor(host: HTMLElement, model: ChartModel, range: Range, options: PlotOptions) {
    this.#model = model;
    this.#range = range;
    this.#options = options;
    this.#members = this.#seriesOf(model);
    this.#u = new uPlot(this.#uplotOptions(), this.#data(), host);
  }

  get box(): Box {
    const { bbox } = this.#u;
    const ratio = uPlot.pxRatio;
    return { left: bbox.left / ratio, top: bbox.top / ratio, width: bbox.width / ratio, height: bbox.height / ratio };
  }

  get canvas(): HTMLCanvasElement {
    return this.#u.ctx.canvas;
  }

  /** The series of this pane that are not hidden. */
  get shown(): ChartSeries[] {
    return this.#members.filter((item) => !this.#options.hidden.has(item.id));
  }

  /** CSS px from the pane's top at which a value of a series stands. */
  yOf(value: number, series: ChartSeries): number {
    return this.#u.valToPos(value, this.#scaleOf(series)) + this.box.top;
  }

  /** Shows another range. While `moving` the y axes stay as they are, so that nothing jumps under the hand. */
  setRange(range: Range, moving: boolean): void {
    if (moving && !this.#holding) for (const key of this.#yKeys()) this.#freeze(key);
    if (!moving) this.#frozen.clear();
    this.#holding = moving;
    this.#range = range;
    this.#u.setScale("x", { min: range.from, max: range.to });
  }

  /** Repaints with other settings; those that change axes or series need a new plot. */
  repaint(options: Pick<PlotOptions, "look" | "lifted" | "hiddenMarks">): void {
    this.#options = { ...this.#options, ...options };
    this.#members.forEach((item, n) => {
      const line = this.#u.series[n + 1];
      if (line) line.alpha = this.#alpha(item);
    });
    this.#u.redraw(true, true);
  }

  destroy(): void {
    this.#u.destroy();
  }

  #freeze(key: string): void {
    const { min, max } = this.#u.scales[key] ?? {};
    if (typeof min === "number" && typeof max === "number") this.#frozen.set(key, [min, max]);
  }

  #yKeys(): string[] {
    return this.#options.units.map((_, n) => `y${n}`);
  }

  #seriesOf(model: ChartModel): ChartSeries[] {
    return model.series.filter((item) => this.#options.units.includes(axisKey(item)));
  }

  #scaleOf(series: ChartSeries): string {
    return `y${Math.max(0, this.#options.units.indexOf(axisKey(series)))}`;
  }

  #alpha(series: ChartSeries): number {
    const { lifted } = this.#options;
    return lifted === null || lifted === series.id ? 1 : 0.3;
  }

  #data(): uPlot.AlignedData {
    return [this.#model.time, ...this.#members.map((item) => item.values)] as uPlot.AlignedData;
  }

  #uplotOptions(): uPlot.Options {
    const { width, height, units, scale: k, foot, band } = this.#options;
    const few = this.#model.series.length - this.#options.hidden.size <= 3;
    const scales: uPlot.Scales = { x: { time: false, range: () => [this.#range.from, this.#range.to] } };
    units.forEach((unit, n) => {
      scales[`y${n}`] = { distr: this.#options.y === "log" ? 3 : 1, range: () => this.#yRange(unit, n) };
    });
    return {
      width, height, scales, ms: 1, pxAlign: 1,
      cursor: { show: false },
      legend: { show: false },
      padding: [10 * k, units.length > 1 ? 0 : 26 * k, 0, 0],
      axes: [this.#timeAxis(foot ? footHeight({ foot, band }) * k : 8 * k), ...units.map((_, n) => this.#valueAxis(n))],
      series: [
        {},
        ...this.#members.map((item): uPlot.Series => ({
          scale: this.#scaleOf(item),
          show: !this.#options.hidden.has(item.id),
          stroke: () => colourOf(this.#options.look, item),
          width: (few ? 1.5 : 1 / uPlot.pxRatio) * k,
          alpha: this.#alpha(item),
          points: { show: false },
          paths: item.step ? uPlot.paths.stepped?.({ align: 1 }) : uPlot.paths.linear?.(),
        })),
      ],
      hooks: {
        drawAxes: [() => this.#paintBehind()],
        draw: [() => this.#paintInFront()],
      },
    };
  }

  #timeAxis(size: number): uPlot.Axis {
    const { look, scale: k, zone, foot, band } = this.#options;
    return {
      size,
      font: `${12 * k}px ${look.font}`,
      stroke: () => this.#options.look.soft,
      gap: (band ? BAND_GAP + BAND + 6 : 6) * k,
      splits: (u) => (this.#ticks = timeTicks(this.#range.from, this.#range.to, u.width / k - 70, zone)).map((tick) => tick.at),
      values: (_, splits) => splits.map((_at, n) => (foot ? (this.#ticks[n]?.label ?? "") : "")),
      grid: { stroke: () => this.#options.look.line, width: k },
      ticks: { show: false },
    };
  }

  #valueAxis(n: number): uPlot.Axis {
    const { look, scale: k } = this.#options;
    return {
      scale: `y${n}`,
      side: n === 0 ? 3 : 1,
      size: AXIS_LEFT * k,
      gap: 8 * k,
      font: `${12 * k}px ${look.font}`,
      stroke: () => this.#options.look.soft,
      splits: (u, _, low, high) =>
        this.#options.y === "log" ? logTicks(low, high) : valueTicks(low, high, u.bbox.height / uPlot.pxRatio / k),
      values: (_, splits) => {
        const step = splits.length > 1 ? (splits[1] as number) - (splits[0] as number) : 1;
        return splits.map((value) => axisText(value, this.#options.y === "log" ? 0 : step));
      },
      grid: { show: n === 0, stroke: () => this.#options.look.line, width: k },
      ticks: { show: false },
    };
  }

  #yRange(unit: string, n: number): [number, number] {
    const held = this.#frozen.get(`y${n}`);
    if (held) return held;
    const { y } = this.#options;
    const ids = new Set(this.shown.filter((item) => axisKey(item) === unit).map((item) => item.id));
    const drawn = extent(this.#model, ids, this.#range.from, this.#range.to, this.#extraValues(ids));
    return axisRange(withRejected(drawn, this.#rejectedValues(ids)), y);
  }

  /** Values of fans and of rejected records in view, which the axis makes room for. */
  #extraValues(ids: Set<string>): number[] {
    const { from, to } = this.#range;
    const fans = this.#model.fans
      .filter((fan) => ids.has(fan.series))
      .flatMap((fan) => fan.time.flatMap((at, n) => (at >= from && at <= to ? [fan.lower[n] as number, fan.upper[n] as number] : [])));
    const anomalies = this.#model.anomalies.filter((item) => ids.has(item.series) && item.at >= from && item.at <= to).map((item) => item.value);
    return [...fans, ...anomalies];
  }

  #rejectedValues(ids: Set<string>): number[] {
    const { from, to } = this.#range;
    return this.#model.marks.flatMap((mark) =>
      mark.value !== undefined && mark.at >= from && mark.at <= to && ids.has(mark.series) && !this.#options.hiddenMarks.has(mark.kind) ? [mark.value] : [],
    );
  }

  #frame(): Frame {
    const u = this.#u;
    const { left, top, width, height } = u.bbox;
    const { from, to } = this.#range;
    const perMs = width / (to - from);
    // a line for each axis: thousands of calls of uPlot's general function a frame are too many
    const lines = new Map(
      this.#options.units.map((unit, n) => {
        const { min, max } = u.scales[`y${n}`] ?? {};
        const times = -height / ((max ?? 1) - (min ?? 0));
        return [unit, { times, add: top + height - (min ?? 0) * times }] as const;
      }),
    );
    return {
      ctx: u.ctx, left, top, width, height,
      k: uPlot.pxRatio * this.#options.scale,
      range: this.#range,
      look: this.#options.look,
      toX: (at) => left + (at - from) * perMs,
      toY: (value, series) => {
        const { add, times } = lines.get(axisKey(series)) ?? { add: 0, times: 0 };
        return this.#options.y === "log" ? u.valToPos(value, this.#scaleOf(series), true) : add + value * times;
      },
    };
  }

  #paintBehind(): void {
    const frame = this.#frame();
    const shown = this.shown;
    clipped(frame, () => {
      this.#zeroLine(frame);
      paintGaps(frame, this.#model, shown.map((item) => item.id));
      if (this.#options.foot) paintChanges(frame, this.#model);
      for (const item of shown) paintEnvelope(frame, this.#model, item, this.#alpha(item));
    });
  }

  #zeroLine(frame: Frame): void {
    const { min, max } = this.#u.scales["y0"] ?? {};
    if (typeof min !== "number" || typeof max !== "number" || min >= 0 || max <= 0 || this.#options.y === "log") return;
    const y = Math.round(this.#u.valToPos(0, "y0", true)) + 0.5;
    frame.ctx.beginPath();
    frame.ctx.moveTo(frame.left, y);
    frame.ctx.lineTo(frame.left + frame.width, y);
    frame.ctx.lineWidth = frame.k;
    frame.ctx.strokeStyle = frame.look.edge;
    frame.ctx.stroke();
  }

  #paintInFront(): void {
    const frame = this.#frame();
    const shown = this.shown;
    const { time, starts } = this.#model;
    const inView = indexAt(time, this.#range.to) - indexAt(time, this.#range.from);
    const dots = starts === null && inView * 4 * frame.k <= frame.width;
    clipped(frame, () => {
      for (const item of shown) paintDots(frame, this.#model, item, dots, this.#alpha(item));
      paintSmooth(frame, this.#model, shown);
      paintFans(frame, this.#model, shown);
      paintOverlays(frame, this.#model, shown, this.#options.hiddenMarks);
      if (this.#options.foot) paintRail(frame, this.#model, this.#options.hiddenMarks);
    });
    if (this.#options.foot && this.#options.band) paintBand(frame, this.#model);
  }
}

/** The unit of a series as its axis has it; a series that was put on the second axis by hand has one of its own. */
export function axisKey(series: Pick<ChartSeries, "unit" | "axis">): string {
  return series.axis === 2 ? `${series.unit}\u00a0` : series.unit;
}
