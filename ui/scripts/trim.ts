/**
 * Leaves out what the page does not use of the packages that it is made of, where the bundler cannot see that by itself.
 * Each cut is exact text of the pinned version: a build with another version fails, and says which cut no longer fits.
 */
import type { Plugin } from "vite";

type Cut = readonly [text: string, instead: string];

/** Of uPlot: paths and tools that are not drawn with; its cursor and legend, which every chart of ours turns off. */
const UPLOT: readonly Cut[] = [
  ["uPlot.join = join;", ""],
  ["uPlot.fmtDate = fmtDate;", ""],
  ["uPlot.tzDate  = tzDate;", ""],
  ["uPlot.sync = _sync;", ""],
  ["(paths.bars    = bars);", ""],
  ["(paths.spline  = monotoneCubic);", ""],
  ["const showCursor =                cursor.show;", "const showCursor = false;"],
  ["const showLegend = legend.show;", "const showLegend = false;"],
  ["events.mousedown = mouseDown;", ""],
  ["events.mousemove = mouseMove;", ""],
  ["events.mouseup = mouseUp;", ""],
  ["events.dblclick = dblClick;", ""],
  ["function updateCursor(src, _fire, _pub) {", "function updateCursor() { return;"],
];

/** What Vite wraps around `import()`: it fetches what a page needs ahead of it, and with one style sheet that is nothing. */
const PRELOAD = "\0vite/preload-helper.js";

export function trim(): Plugin {
  let cut = false;
  return {
    name: "trim",
    apply: "build",
    enforce: "pre",
    load(id) {
      if (id !== PRELOAD) return null;
      cut = true;
      return "export const __vitePreload = (load) => load();";
    },
    buildEnd(error) {
      if (!error && !cut) this.error("Vite has no preload helper of that name: see scripts/trim.ts");
    },
    transform(code, id) {
      if (!id.endsWith("/uplot/dist/uPlot.esm.js")) return null;
      return UPLOT.reduce((text, [cut, instead]) => {
        if (text.split(cut).length !== 2) this.error(`uPlot has no single "${cut}": see scripts/trim.ts`);
        return text.replace(cut, instead);
      }, code);
    },
  };
}
