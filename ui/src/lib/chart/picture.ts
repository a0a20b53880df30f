/** A chart as a PNG at twice its size, with title, legend, zone and range drawn into it. */

import type { Look } from "./look.ts";
import type { ChartModel, MarkKind, Range } from "./model.ts";
import { colourOf } from "./paint.ts";
import type { Pane } from "./panes.ts";
import { Plot } from "./plot.ts";
import type { YChoice } from "./scale.ts";

interface Picture {
  model: ChartModel;
  view: Range;
  zone: string;
  y: YChoice;
  hidden: Set<string>;
  hiddenMarks: Set<MarkKind>;
  band: boolean;
  look: Look;
  panes: Pane[];
  width: number;
  title: string;
  /** Zone, range, windows: the line under the title. */
  notes: string;
}

const SIZE = 2;
const HEAD = 68;
const EDGE = 14;

export async function drawPicture(picture: Picture): Promise<Blob> {
  const { panes, width, look, model } = picture;
  const canvas = document.createElement("canvas");
  canvas.width = (width + 2 * EDGE) * SIZE;
  canvas.height = (HEAD + panes.reduce((sum, pane) => sum + pane.height, 0) + EDGE) * SIZE;
  const ctx = canvas.getContext("2d");
  if (!ctx) throw new Error("The browser gives no canvas to draw the picture on.");
  ctx.fillStyle = look.panel;
  ctx.fillRect(0, 0, canvas.width, canvas.height);
  ctx.scale(SIZE, SIZE);
  ctx.fillStyle = look.ink;
  ctx.font = `600 15px ${look.font}`;
  ctx.fillText(picture.title, EDGE, 24, width);
  ctx.fillStyle = look.soft;
  ctx.font = `12px ${look.font}`;
  ctx.fillText(picture.notes, EDGE, 42, width);
  let x = EDGE;
  for (const item of model.series.filter((other) => !picture.hidden.has(other.id))) {
    const text = item.unit ? `${item.label} ${item.unit}` : item.label;
    ctx.fillStyle = colourOf(look, item);
    ctx.fillRect(x, 55, 12, 3);
    ctx.fillStyle = look.ink;
    ctx.fillText(text, x + 18, 61);
    x += 34 + ctx.measureText(text).width;
  }
  ctx.setTransform(1, 0, 0, 1, 0, 0);
  let top = HEAD;
  for (const pane of panes) {
    ctx.drawImage(await drawPane(picture, pane), EDGE * SIZE, top * SIZE);
    top += pane.height;
  }
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The browser could not write the picture."))), "image/png"),
  );
}

async function drawPane(picture: Picture, { units, foot, height }: Pane): Promise<HTMLCanvasElement> {
  const scale = SIZE / devicePixelRatio;
  const plot = new Plot(document.createElement("div"), picture.model, picture.view, {
    ...picture,
    units,
    foot,
    scale,
    width: picture.width * scale,
    height: height * scale,
    lifted: null,
  });
  await Promise.resolve(); // uPlot draws in a microtask
  const copy = document.createElement("canvas");
  copy.width = plot.canvas.width;
  copy.height = plot.canvas.height;
  copy.getContext("2d")?.drawImage(plot.canvas, 0, 0);
  plot.destroy();
  return copy;
}
