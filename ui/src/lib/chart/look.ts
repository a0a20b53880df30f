/** The colours of a chart, read from the tokens: registered colours resolve `light-dark()` where they are read. */

import type { MarkKind } from "./model.ts";

export interface Look {
  panel: string;
  ink: string;
  soft: string;
  line: string;
  edge: string;
  tide: string;
  hatch: string;
  gap: string;
  accepted: string;
  series: string[];
  marks: Record<MarkKind, string>;
  font: string;
}

/** The look in force at an element. */
export function lookOf(element: Element): Look {
  const style = getComputedStyle(element);
  const token = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    panel: token("panel"),
    ink: token("ink"),
    soft: token("soft"),
    line: token("line"),
    edge: token("edge"),
    tide: token("tide"),
    hatch: token("hatch"),
    gap: token("gap"),
    accepted: token("m-accepted"),
    series: [1, 2, 3, 4, 5, 6, 7, 8].map((n) => token(`s${n}`)),
    marks: {
      rejected: token("m-rejected"),
      flagged: token("m-flagged"),
      late: token("m-late"),
      duplicate: token("m-duplicate"),
    },
    font: style.fontFamily,
  };
}

/** Calls `repaint` when the theme changes, by the browser's setting or by the page's. Returns what ends it. */
export function onThemeChange(repaint: () => void): () => void {
  const root = document.documentElement;
  const watch = new MutationObserver(repaint);
  watch.observe(root, { attributes: true, attributeFilter: ["data-theme", "style", "class"] });
  const queries = ["(prefers-color-scheme: dark)", "(forced-colors: active)"].map((query) => matchMedia(query));
  for (const query of queries) query.addEventListener("change", repaint);
  return () => {
    watch.disconnect();
    for (const query of queries) query.removeEventListener("change", repaint);
  };
}
