/** The panes of a chart, one below another: the units and the height of each, and their canvases as one. */

import type { ChartModel, ChartSeries, Range } from "./model.ts";
import { axisKey, type Box, footHeight, Plot, type PlotOptions } from "./plot.ts";
import type { Reading } from "./reading.ts";

export interface Pane {
  units: string[];
  /** In px, with its foot. */
  height: number;
  /** Whether it has the rail, the evidence band and the labels of time: the last one does. */
  foot: boolean;
}

/** A value on the crosshair: px in the chart, and the colour of its series (1 to 8). */
export interface Dot {
  x: number;
  y: number;
  colour: number;
}

/** One pane with one or two axes; from the third unit on a pane for each. `height` is that of one plot, in px. */
export function panesOf(series: readonly ChartSeries[], height: number, band: boolean): Pane[] {
  const units = [...new Set(series.map(axisKey))];
  const groups = units.length <= 2 ? [units.length ? units : [""]] : units.map((unit) => [unit]);
  const plot = groups.length === 1 ? height : Math.max(120, Math.round(height / 2));
  const last = groups.length - 1;
  return groups.map((group, n) => ({ units: group, height: plot + footHeight({ foot: n === last, band }), foot: n === last }));
}

export class Canvases {
  readonly #panes: readonly Pane[];
  readonly #plots: Plot[];

  /** A canvas in each host, which are as many as the panes. */
  constructor(hosts: HTMLElement[], model: ChartModel, range: Range, panes: readonly Pane[], options: Omit<PlotOptions, keyof Pane>) {
    this.#panes = panes;
    this.#plots = panes.map((pane, n) => new Plot(hosts[n] as HTMLElement, model, range, { ...options, ...pane }));
  }

  /** Where plots are, in CSS px: from the top of the first one, as wide as the last. */
  get box(): Box {
    const [first, last] = [this.#plots[0] as Plot, this.#plots[this.#plots.length - 1] as Plot];
    return { ...last.box, top: first.box.top };
  }

  setRange(range: Range, moving: boolean): void {
    for (const plot of this.#plots) plot.setRange(range, moving);
  }

  repaint(options: Parameters<Plot["repaint"]>[0]): void {
    for (const plot of this.#plots) plot.repaint(options);
  }

  /** The values of a reading at `x` px of the plot. */
  dots(reading: Reading, x: number): Dot[] {
    const dots: Dot[] = [];
    let top = 0;
    for (const [n, plot] of this.#plots.entries()) {
      for (const item of plot.shown) {
        const value = reading.values.find((other) => other.series.id === item.id)?.value;
        if (typeof value === "number") dots.push({ x, y: plot.yOf(value, item) + top, colour: item.colour });
      }
      top += this.#panes[n]?.height ?? 0;
    }
    return dots;
  }

  destroy(): void {
    for (const plot of this.#plots) plot.destroy();
  }
}
