/**
 * Mouse, touch and wheel on a plot, as movements of its range. Drag selects; Shift+drag, or a drag of the time axis,
 * pans; one finger pans, two pinch, a long press and then a drag selects; Ctrl+wheel zooms, Shift+wheel pans.
 */

import type { Range } from "./model.ts";
import { bounded, pan, pinch, zoom } from "./view.ts";

export interface Surface {
  /** The range in view, and the plot's left edge and width in px from the element's left edge. */
  range(): Range;
  left(): number;
  width(): number;
  /** px from the top of the element below which the axis is. */
  axisTop(): number;
  move(range: Range): void;
  /** The range is chosen: a selection, or the end of a movement. */
  settle(range: Range): void;
  /** px from the plot's left edge; null: nothing is pointed at. */
  hover(x: number | null): void;
  select(from: number, to: number): void;
  pin(x: number): void;
}

const CLICK_PX = 4;
const LONG_PRESS_MS = 450;

type Mode = "none" | "press" | "select" | "pan" | "pinch";

/** Listens on `element`; returns what ends it. */
export function listen(element: HTMLElement, surface: Surface): () => void {
  const gestures = new Gestures(element, surface);
  const events: [string, (event: never) => void, AddEventListenerOptions?][] = [
    ["pointerdown", (event: PointerEvent) => gestures.down(event)],
    ["pointermove", (event: PointerEvent) => gestures.moved(event)],
    ["pointerup", (event: PointerEvent) => gestures.up(event)],
    ["pointercancel", (event: PointerEvent) => gestures.cancel(event)],
    ["pointerleave", () => surface.hover(null)],
    ["dblclick", (event: MouseEvent) => gestures.double(event)],
    ["wheel", (event: WheelEvent) => gestures.wheel(event), { passive: false }],
    ["contextmenu", (event: Event) => gestures.menu(event)],
  ];
  for (const [name, handle, options] of events) element.addEventListener(name, handle as EventListener, options);
  return () => {
    gestures.end();
    for (const [name, handle, options] of events) element.removeEventListener(name, handle as EventListener, options);
  };
}

class Gestures {
  readonly #element: HTMLElement;
  readonly #surface: Surface;
  readonly #fingers = new Map<number, number>();
  #mode: Mode = "none";
  #startX = 0;
  #start: Range = { from: 0, to: 1 };
  #held: [number, number] = [0, 0];
  #timer = 0;
  #touch = false;

  constructor(element: HTMLElement, surface: Surface) {
    this.#element = element;
    this.#surface = surface;
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  down(event: PointerEvent): void {
    if (event.button !== 0) return;
    const x = this.#x(event);
    this.#touch = event.pointerType === "touch";
    this.#fingers.set(event.pointerId, x);
    this.#element.setPointerCapture(event.pointerId);
    if (this.#fingers.size === 2) return this.#beginPinch();
    if (this.#fingers.size > 2) return;
    this.#startX = x;
    this.#start = this.#surface.range();
    const onAxis = this.#y(event) > this.#surface.axisTop();
    this.#mode = this.#touch ? "press" : event.shiftKey || onAxis ? "pan" : "press";
    clearTimeout(this.#timer);
    if (this.#touch) this.#timer = window.setTimeout(() => this.#longPress(), LONG_PRESS_MS);
  }

  moved(event: PointerEvent): void {
    const x = this.#x(event);
    if (!this.#fingers.has(event.pointerId)) {
      if (event.pointerType !== "touch") this.#surface.hover(x);
      return;
    }
    this.#fingers.set(event.pointerId, x);
    if (this.#mode === "pinch") return this.#pinch();
    if (this.#mode === "press" && Math.abs(x - this.#startX) > CLICK_PX) {
      clearTimeout(this.#timer);
      this.#mode = this.#touch ? "pan" : "select";
    }
    if (this.#mode === "pan") {
      this.#surface.hover(null);
      this.#surface.move(pan(this.#start, (this.#startX - x) / this.#surface.width()));
    }
    if (this.#mode === "select") this.#surface.select(Math.min(this.#startX, x), Math.max(this.#startX, x));
    if (this.#mode === "select" && !this.#touch) this.#surface.hover(x);
  }

  up(event: PointerEvent): void {
    if (!this.#fingers.delete(event.pointerId)) return;
    clearTimeout(this.#timer);
    const x = this.#x(event);
    const { range, width } = this.#surface;
    switch (this.#mode) {
      case "press":
        this.#surface.pin(this.#startX);
        break;
      case "select":
        this.#surface.select(0, 0);
        if (Math.abs(x - this.#startX) > CLICK_PX) this.#surface.settle(bounded(this.#between(this.#startX, x, range(), width())));
        break;
      case "pan":
        if (Math.abs(x - this.#startX) <= CLICK_PX) this.#surface.move(this.#start);
        else this.#surface.settle(range());
        break;
      case "pinch":
        this.#surface.settle(range());
        this.#fingers.clear();
    }
    this.#mode = "none";
  }

  cancel(event: PointerEvent): void {
    this.#fingers.delete(event.pointerId);
    clearTimeout(this.#timer);
    this.#surface.select(0, 0);
    if (this.#mode === "pan" || this.#mode === "pinch") this.#surface.settle(this.#surface.range());
    this.#mode = "none";
  }

  double(event: MouseEvent): void {
    event.preventDefault();
    const range = this.#surface.range();
    this.#surface.settle(zoom(range, 2, this.#instant(this.#x(event), range)));
  }

  wheel(event: WheelEvent): void {
    if (!event.ctrlKey && !event.shiftKey) return; // the page scrolls
    event.preventDefault();
    const range = this.#surface.range();
    const turn = event.deltaY || event.deltaX;
    const pixels = event.deltaMode === 1 ? turn * 16 : turn;
    if (event.ctrlKey) this.#surface.move(zoom(range, Math.exp(Math.max(-120, Math.min(120, pixels)) / 240), this.#instant(this.#x(event), range)));
    else this.#surface.move(pan(range, pixels / 2 / this.#surface.width()));
  }

  /** A long press selects; no menu of the browser comes in between. */
  menu(event: Event): void {
    if (this.#touch && this.#mode !== "none") event.preventDefault();
  }

  #longPress(): void {
    if (this.#mode !== "press") return;
    this.#mode = "select";
    this.#surface.select(this.#startX, this.#startX + 1);
  }

  #beginPinch(): void {
    clearTimeout(this.#timer);
    this.#surface.select(0, 0);
    this.#mode = "pinch";
    this.#start = this.#surface.range();
    const [a = 0, b = 0] = [...this.#fingers.values()].sort((one, other) => one - other);
    this.#held = [this.#instant(a, this.#start), this.#instant(b, this.#start)];
  }

  #pinch(): void {
    const [a = 0, b = 0] = [...this.#fingers.values()].sort((one, other) => one - other);
    const width = this.#surface.width();
    const range = pinch(...this.#held, a / width, b / width);
    if (range) this.#surface.move(range);
  }

  #between(a: number, b: number, range: Range, width: number): Range {
    const clamped = [a, b].map((x) => Math.max(0, Math.min(width, x))).sort((one, other) => one - other);
    return { from: this.#instant(clamped[0] as number, range), to: this.#instant(clamped[1] as number, range) };
  }

  #instant(x: number, range: Range): number {
    return range.from + (x / this.#surface.width()) * (range.to - range.from);
  }

  #x(event: MouseEvent): number {
    return event.clientX - this.#element.getBoundingClientRect().left - this.#surface.left();
  }

  #y(event: MouseEvent): number {
    return event.clientY - this.#element.getBoundingClientRect().top;
  }
}
