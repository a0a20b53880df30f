/** The requests that give the same data as the page: paths of the API and its other formats. */

import { rfc3339 } from "$lib/url/moment";
import type { Question } from "./windows.ts";

export interface View {
  ids: readonly string[];
  from: number;
  to: number;
  zone: string;
  agg: string;
}

/** RFC 3339 with the fraction of a ms that `Date` would drop. */
export function instantParameter(ms: number): string {
  const whole = Math.floor(ms);
  const finer = Math.round((ms - whole) * 1e6);
  if (finer <= 0 || finer >= 1e6) return rfc3339(Math.round(ms));
  return new Date(whole).toISOString().replace("Z", `${String(finer).padStart(6, "0")}Z`);
}

function path(base: string, parameters: Record<string, string>): string {
  const search = new URLSearchParams(parameters).toString().replaceAll("%3A", ":").replaceAll("%2C", ",").replaceAll("%2F", "/");
  return search ? `${base}?${search}` : base;
}

function common(view: View): Record<string, string> {
  return {
    series: view.ids.join(","),
    start: instantParameter(view.from),
    end: instantParameter(view.to),
    ...(view.zone === "UTC" ? {} : { tz: view.zone }),
  };
}

/** Aggregates of a window: what is drawn, and the extremes that are always drawn with it. */
export function aggregates(agg: string): string {
  return [...new Set([agg, "min", "max"])].join(",");
}

export const MOST_POINTS = 20_000;

/** Windows with their evidence, or points. */
export function pointsPath(view: View, question: Question): string {
  if (question.kind === "points") return path("/v1/points", { ...common(view), limit: String(MOST_POINTS) });
  const length: Record<string, string> = question.every ? { every: question.every } : { points: String(question.windows) };
  return path("/v1/points", { ...common(view), ...length, agg: aggregates(view.agg), evidence: "true" });
}

/** One window for the whole range, for the figures of the table. */
export function totalsPath(view: View): string {
  return path("/v1/points", { ...common(view), agg: "last,min,mean,max,count" });
}

/** The whole series in few windows. */
export function overviewPath(ids: readonly string[]): string {
  return path("/v1/points", { series: ids.join(","), points: "400", agg: "mean", evidence: "true" });
}

export function rejectionsPath(id: string, view: View): string {
  return path("/v1/rejections", { series: id, time_start: instantParameter(view.from), time_end: instantParameter(view.to), limit: "1000" });
}

/** The answer of the screen as a file, never cut by the screen: points unless windows of a length are shown. */
export function filePath(view: View, every: string | null, format: string): string {
  const windows: Record<string, string> = every ? { every, agg: aggregates(view.agg) } : {};
  const shape: Record<string, string> = every ? { shape: "columns" } : {};
  return path("/v1/points", { ...common(view), ...windows, ...shape, format });
}

/** The values after the last points, as far as the range goes on: `end` is where they end. */
export function forecastPath(id: string, view: View, every: string | null, end: number, apart: number): string {
  const windows: Record<string, string> = every ? { every } : {};
  const horizon = Math.max(1, Math.min(200, Math.ceil((view.to - end) / apart)));
  return path(`/v1/series/${id}/forecast`, {
    end: instantParameter(end), ...windows, horizon: String(horizon), level: "80,95", ...(view.zone === "UTC" ? {} : { tz: view.zone }),
  });
}

export function anomaliesPath(id: string, view: View, every: string | null): string {
  const windows: Record<string, string> = every ? { every } : {};
  return path(`/v1/series/${id}/anomalies`, { start: instantParameter(view.from), end: instantParameter(view.to), ...windows, limit: "200" });
}

export function changesPath(id: string): string {
  return path("/v1/changes", { series: id, limit: "1000" });
}
