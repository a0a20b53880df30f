import { family, moment, oneOf, someOf, text, texts, zone } from "$lib/url/query";

const OVERLAYS = ["rejected", "flagged", "evidence", "forecast", "rolling", "anomalies", "changes", "mean"] as const;

/** `s`: a series id with what is said of it, as `id`, `id.axis2` or `id.step`. */
export const query = {
  s: texts(),
  from: moment(),
  to: moment(),
  tz: zone(),
  every: text(),
  agg: text(),
  y: text(),
  show: someOf(OVERLAYS, ["rejected", "flagged", "evidence"]),
  q: text(),
  "f.*": family(),
  at: moment(),
  view: oneOf(["chart", "table"], "chart"),
};
