/** The mean of all series that a search matches, more than can be drawn each: one line over those that are shown. */

import type { components } from "$lib/api/api";
import { api, ask, json } from "$lib/api/client";
import { Problem } from "$lib/api/problem";
import { count } from "$lib/format/numbers";
import { parseMs } from "./answers.ts";
import { instantParameter, type View } from "./requests.ts";

/** Series of one question, at most. */
const MOST = 1000;

export interface Mean {
  label: string;
  time: number[];
  values: (number | null)[];
}

/** The mean in windows of `every` of the series that match `search` and are in `unit`. Throws Problem. */
export async function meanOf(search: string, unit: string, view: View, every: string, signal: AbortSignal): Promise<Mean> {
  const page = await json<components["schemas"]["SeriesPage"]>(`/v1/series?limit=${MOST}&extent=false&${search}`, { signal });
  const series = page.items.filter((item) => (item.unit ?? "") === unit).map((item) => item.id);
  if (page.next || !series.length) {
    const detail = page.next ? `More than ${count(MOST)} series match; narrow by tag` : `no series that matches is in ${unit || "the same unit"}`;
    throw new Problem({ detail }, 422, "");
  }
  const range = { start: instantParameter(view.from), end: instantParameter(view.to), every, tz: view.zone };
  const body = { select: { all: { series } }, ...range, agg: ["mean"], fill: "null", group_by: [], across: "mean" as const };
  const answer = (await ask(api.POST("/v1/query", { body, signal }))) as components["schemas"]["Answer"];
  return { label: `mean of ${count(series.length)}`, time: answer.time.map(parseMs), values: answer.items[0]?.columns["mean"] ?? [] };
}
