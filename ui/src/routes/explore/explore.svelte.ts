/**
 * What Explore shows: the URL says what is wanted, this asks for it and keeps what came. Requests that were superseded
 * are aborted, 64 answers are kept, and what is loaded stays on screen, stretched, until its successor is there.
 */

import { untrack } from "svelte";
import { askWhenBack, giveUp } from "$lib/api/back";
import { json } from "$lib/api/client";
import { askLater, asProblem, type Problem } from "$lib/api/problem";
import { breakAtGaps } from "$lib/chart/gaps";
import type { Anomaly, ChangeNote, ChartModel, Fan, Range, Value } from "$lib/chart/model";
import { browserZone } from "$lib/format/time";
import { momentMs } from "$lib/url/moment";
import { router } from "$lib/url/router.svelte";
import {
  buildModel, figuresOf, gapsOf, isMostlyLate, labelOf, NOTHING, parseMs, placeOf, type PointColumns, type Rejection, type SeriesColumns,
} from "./answers.ts";
import { assignColours, formatSeries, meanSearch, MOST_SERIES, parseSeries, parseY, rollingOf } from "./choice.ts";
import { Lru } from "./lru.ts";
import type { Mean } from "./mean.ts";
import { anomaliesPath, changesPath, forecastPath, MOST_POINTS, overviewPath, pointsPath, rejectionsPath, totalsPath, type View } from "./requests.ts";
import type { Answered } from "./sentences.ts";
import { densest, type Question, questionFor } from "./windows.ts";

const KEEP_MS = 60_000;
const SLOW_MS = 300;
const MOST_LISTED = 1000;
const ALONE_MS = 1500;
const HALF_HOUR_MS = 1_800_000;

const answers = new Lru<unknown>(64);

async function read<T>(path: string, signal: AbortSignal, keep = KEEP_MS): Promise<T> {
  const kept = answers.get(path, keep);
  if (kept !== undefined) return kept as T;
  const value = await json<T>(path, { signal });
  answers.set(path, value);
  return value;
}

/** What is known of a chosen series whatever the range: where it has points, and how many. */
interface Known {
  id: string;
  label: string;
  place: string;
  unit: string;
  feed: string;
  series: SeriesColumns;
  count: number;
  from: number;
  to: number;
}

interface Whole {
  time: number[];
  /** By series. */
  values: Map<string, Value[]>;
  known: Map<string, Known>;
}

export class Explore {
  /** px of the plot, by steps. */
  width = $state(880);
  /** What the hand is doing: the range in view before the URL has it. */
  view: Range | null = $state.raw(null);
  hidden: Set<string> = $state.raw(new Set());
  lifted: string | null = $state(null);

  windows: PointColumns | null = $state.raw(null);
  points: PointColumns | null = $state.raw(null);
  totals: PointColumns | null = $state.raw(null);
  whole: Whole | null = $state.raw(null);
  ledger: Map<string, Rejection[]> = $state.raw(new Map());
  fans: Fan[] = $state.raw([]);
  anomalies: Anomaly[] = $state.raw([]);
  changes: ChangeNote[] = $state.raw([]);
  /** Of all series that a search matches; null: not wanted, or not there. */
  mean: Mean | null = $state.raw(null);
  /** What overlays could not be had, as sentences. */
  notes: string[] = $state.raw([]);
  #problems: { whole: Problem | null; range: Problem | null } = $state.raw({ whole: null, range: null });
  slow = $state(false);
  answered: Answered | null = $state.raw(null);
  /** When the answer came: what lies after it is not due yet. */
  now = $state(Date.now());
  /** The instant that `now` stands for in the URL. */
  live = $state(Date.now());
  #colours = new Map<string, number>();
  #tries = $state(0);

  readonly query = $derived(router.query("explore"));
  readonly zone = $derived(this.query.tz || browserZone());
  readonly chosen = $derived(parseSeries(this.query.s).slice(0, MOST_SERIES));
  readonly tooMany = $derived(parseSeries(this.query.s).length > MOST_SERIES);
  /** Texts, so that what depends on them stays as it is when another part of the URL changes. */
  readonly #idText = $derived(this.chosen.map((item) => item.id).join(","));
  readonly ids = $derived(this.#idText ? this.#idText.split(",") : []);
  readonly #showText = $derived(this.query.show.join(","));
  readonly agg = $derived(this.query.agg || "mean");
  readonly y = $derived(parseY(this.query.y) ?? "auto");
  readonly colours = $derived.by(() => (this.#colours = assignColours(this.ids, this.#colours)));

  /** Where the chosen series have points; null: not known, or nowhere. */
  readonly extent = $derived.by((): Range | null => {
    const known = this.ids.flatMap((id) => this.whole?.known.get(id) ?? []).filter((item) => item.count > 0);
    if (!known.length) return null;
    const [from, to] = [Math.min(...known.map((item) => item.from)), Math.max(...known.map((item) => item.to))];
    // Of a first point there is nothing around it yet: it stands in the middle of an hour.
    return to - from < ALONE_MS ? { from: from - HALF_HOUR_MS, to: from + HALF_HOUR_MS } : { from, to };
  });

  /** The range of the URL; without one all that there is. null while that is not known. */
  readonly range = $derived.by((): Range | null => {
    const [from, to] = [this.#instant(this.query.from), this.#instant(this.query.to)];
    const all = this.extent;
    if (from !== null && to !== null) return from < to ? { from, to } : { from: to, to: from };
    if (!all) return from !== null ? { from, to: Date.now() } : null;
    const start = from ?? Math.min(all.from, (to ?? all.to) - 1);
    return { from: start, to: to ?? Math.max(all.to, start + 1) };
  });

  /** ms of an end of the range; what is relative goes on with `live`. */
  #instant(moment: string): number | null {
    if (/^(now|-)/.test(moment)) return momentMs(moment, this.live);
    return moment === "" ? null : parseMs(moment);
  }

  readonly shownRange = $derived(this.view ?? this.range);

  readonly request = $derived.by((): View | null =>
    this.range && this.ids.length ? { ids: this.ids, ...this.range, zone: this.zone, agg: this.agg } : null,
  );

  readonly question = $derived.by((): Question | null => {
    if (!this.range) return null;
    const known = this.ids.flatMap((id) => this.whole?.known.get(id) ?? []);
    return questionFor(this.query.every, this.range.to - this.range.from, this.width, known.length ? (densest(known) ?? 0) : null);
  });

  /** The paths that are asked for the range: windows, points ("" for none), figures; null while there is no range. */
  readonly #rangePaths = $derived.by(() => {
    const { request, question } = this;
    if (!request || !question) return "";
    const evidence: Question = question.kind === "windows" ? question : { kind: "windows", every: null, windows: 240 };
    return [pointsPath(request, evidence), question.kind === "points" ? pointsPath(request, question) : "", totalsPath(request)].join("\n");
  });

  readonly model = $derived.by((): ChartModel => {
    if (!this.windows && !this.points) return NOTHING;
    const built = buildModel({
      windows: this.windows,
      points: this.points,
      chosen: this.chosen,
      colours: this.colours,
      hidden: this.hidden,
      agg: this.agg,
      ledger: this.ledger,
      rolling: rollingOf(this.query.show),
      now: this.now,
    });
    const [first] = built.series;
    const means = this.mean && first ? [{ series: first.id, time: this.mean.time, values: this.mean.values }] : [];
    return { ...built, fans: this.fans, anomalies: this.anomalies, changes: this.changes, smooth: [...built.smooth, ...means], gaps: built.gaps.filter((gap) => this.whole?.known.get(gap.series)?.count !== 1) };
  });

  readonly problem = $derived(this.#problems.range ?? this.#problems.whole);

  readonly figures = $derived(figuresOf(this.windows, this.totals, this.chosen, this.now));

  /** Points of series that came late as a rule, which have no marks for that. */
  readonly late = $derived(
    (this.windows?.series ?? []).filter(isMostlyLate).reduce((all, series) => (series.evidence?.late ?? []).reduce<number>((sum, count) => sum + (count ?? 0), all), 0),
  );

  /** ms from one drawn instant to the next. */
  readonly apart = $derived.by(() => {
    const { time, starts, ends } = this.model;
    if (starts && ends && starts.length) return (ends[0] as number) - (starts[0] as number);
    return time.length > 1 ? ((time[time.length - 1] as number) - (time[0] as number)) / (time.length - 1) : 1000;
  });

  retry(): void {
    this.#tries += 1;
  }

  // --- loading: each is run as an effect by the page, and returns what aborts it -------------------------------------

  /** The whole of the chosen series, for the first range, the overview and the density. */
  loadWhole(): (() => void) | undefined {
    const ids = this.#idText ? this.#idText.split(",") : [];
    void this.#tries;
    if (!ids.length) {
      this.whole = null;
      return undefined;
    }
    return this.#load("whole", async (signal) => {
      const answer = await read<PointColumns>(overviewPath(ids), signal, 15_000);
      const time = answer.time.map(parseMs);
      const length = time.length > 1 ? (time[1] as number) - (time[0] as number) : 1000;
      const known = new Map<string, Known>();
      for (const series of answer.series) {
        const counts = series.evidence?.n ?? [];
        const first = counts.findIndex((count) => (count ?? 0) > 0);
        const last = counts.findLastIndex((count) => (count ?? 0) > 0);
        const count = counts.reduce<number>((sum, item) => sum + (item ?? 0), 0);
        const from = first < 0 ? 0 : (time[first] as number);
        const to = last < 0 ? 0 : (time[last + 1] ?? (time[last] as number) + length);
        known.set(series.id, { id: series.id, label: labelOf(series), place: placeOf(series), unit: series.unit ?? "", feed: series.feed, series, count, from, to });
      }
      const gaps = gapsOf(answer);
      const values = answer.series.map((series) => {
        const own = gaps.filter((gap) => gap.series === series.id);
        return [series.id, breakAtGaps(time, series.columns.mean ?? [], own).values] as const;
      });
      this.whole = { time, values: new Map(values), known };
    });
  }

  /** The windows or points of the range, then the figures of the table. */
  loadRange(): (() => void) | undefined {
    const paths = this.#rangePaths;
    const none = !this.#idText;
    void this.#tries;
    if (!paths) {
      if (none) this.windows = this.points = this.totals = this.answered = null;
      return undefined;
    }
    const [windowsAt = "", pointsAt = "", totalsAt = ""] = paths.split("\n");
    return this.#load("range", async (signal) => {
      const asked = performance.now();
      const [windows, points] = await Promise.all([
        read<PointColumns>(windowsAt, signal),
        pointsAt ? read<PointColumns>(pointsAt, signal) : null,
      ]);
      const drawn = points ?? windows;
      this.now = Date.now();
      this.windows = windows;
      this.points = points;
      this.answered = {
        every: points ? null : windows.every,
        windows: windows.windows,
        points: points ? this.#drawnPoints(points) : windows.points_read,
        tookMs: drawn.took_ms ?? performance.now() - asked,
        more: points !== null && points.next !== null && this.#drawnPoints(points) >= MOST_POINTS,
        source: windows.source,
      };
      this.totals = await read<PointColumns>(totalsAt, signal);
    });
  }

  #drawnPoints(points: PointColumns): number {
    return points.series.reduce((sum, series) => sum + (series.times?.length ?? 0), 0);
  }

  /** Rejected records of the range, where there are few enough to be listed. */
  loadLedger(): (() => void) | undefined {
    const { windows } = this;
    void this.#tries;
    const request = this.#rangePaths ? untrack(() => this.request) : null;
    if (!windows || !request || !this.#showText.split(",").includes("rejected")) {
      this.ledger = new Map();
      return undefined;
    }
    const counted = windows.series.map((series) => ({
      id: series.id,
      rejected: (series.evidence?.rejected ?? []).reduce<number>((sum, count) => sum + (count ?? 0), 0),
    }));
    const few = counted.filter(({ rejected }) => rejected > 0 && rejected <= MOST_LISTED);
    return this.#aside("ledger", async (signal) => {
      const pages = await Promise.all(few.map(async ({ id }) => [id, (await read<{ items: Rejection[] }>(rejectionsPath(id, request), signal)).items] as const));
      this.ledger = new Map(pages);
    }, () => (this.ledger = new Map()));
  }

  /** Overlays that the server calculates: forecast, unusual values, changes. */
  loadOverlays(): (() => void) | undefined {
    const { windows, points, extent } = this;
    void this.#tries;
    const show = this.#showText.split(",");
    const wants = (word: string) => show.some((item) => item.split(":")[0] === word);
    const request = this.#rangePaths ? untrack(() => this.request) : null;
    if (!request || !windows) return undefined;
    const every = points ? null : windows.every;
    const aborts: (() => void)[] = [];
    if (wants("forecast") && extent && request.to > extent.to) {
      const id = request.ids.find((item) => !this.hidden.has(item)) ?? (request.ids[0] as string);
      aborts.push(this.#aside("forecast", async (signal) => {
        const answer = await read<ForecastAnswer>(forecastPath(id, request, every, extent.to, untrack(() => this.apart)), signal);
        this.fans = [fanOf(id, answer)];
      }, () => (this.fans = [])));
    } else this.fans = [];
    if (wants("anomalies")) {
      aborts.push(this.#aside("anomalies", async (signal) => {
        const all = await Promise.all(request.ids.map(async (id) => [id, await read<AnomaliesAnswer>(anomaliesPath(id, request, every), signal)] as const));
        this.anomalies = all.flatMap(([series, answer]) =>
          answer.anomalies.map((item) => ({ series, at: parseMs(item.at), value: item.value, reason: item.reason })));
      }, () => (this.anomalies = [])));
    } else this.anomalies = [];
    if (wants("changes")) {
      aborts.push(this.#aside("changes", async (signal) => {
        const all = await Promise.all(request.ids.map((id) => read<{ items: ChangeEvent[] }>(changesPath(id), signal)));
        this.changes = all.flatMap(({ items }) => items.map(noteOf));
      }, () => (this.changes = [])));
    } else this.changes = [];
    const search = meanSearch(show);
    if (search !== null && windows.every) {
      const { every } = windows;
      const unit = windows.series.find((item) => item.id === request.ids[0])?.unit ?? "";
      aborts.push(this.#aside("mean", async (signal) => {
        const { meanOf } = await import("./mean.ts");
        this.mean = await meanOf(search, unit, request, every, signal);
      }, () => (this.mean = null)));
    } else this.mean = null;
    return () => aborts.forEach((abort) => abort());
  }

  #load(part: "whole" | "range", work: (signal: AbortSignal) => Promise<void>): () => void {
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let later: ReturnType<typeof setTimeout> | undefined;
    const end = () => {
      clearTimeout(timer);
      this.slow = false;
    };
    // `tries`: how often in a row this part was asked again as the server said.
    const ask = (tries: number) => {
      clearTimeout(later);
      giveUp(controller);
      timer = setTimeout(() => (this.slow = true), SLOW_MS);
      work(controller.signal).then(
        () => {
          if (controller.signal.aborted) return;
          this.#problems = { ...this.#problems, [part]: null };
          end();
        },
        (error: unknown) => {
          if (controller.signal.aborted) return;
          const problem = asProblem(error);
          later = askLater(problem, tries, () => ask(tries + 1));
          this.#problems = { ...this.#problems, [part]: problem };
          askWhenBack(problem, controller, () => ask(0));
          end();
        },
      );
    };
    ask(0);
    return () => {
      controller.abort();
      giveUp(controller);
      clearTimeout(later);
      end();
    };
  }

  /** An overlay: its failure is a note, the chart lives on, and it alone is asked again. */
  #aside(name: string, work: (signal: AbortSignal) => Promise<void>, clear: () => void): () => void {
    const controller = new AbortController();
    const drop = () => (this.notes = this.notes.filter((note) => !note.startsWith(`${name}: `)));
    const ask = (): Promise<unknown> =>
      work(controller.signal).then(drop, (error: unknown) => {
        if (controller.signal.aborted) return;
        const problem = asProblem(error);
        clear();
        drop();
        this.notes = [...this.notes, `${name}: ${problem.detail || problem.title}`];
        askWhenBack(problem, controller, ask);
      });
    void ask();
    return () => {
      controller.abort();
      giveUp(controller);
    };
  }

  // --- choices -------------------------------------------------------------------------------------------------------

  toggle(id: string, on = !this.ids.includes(id)): boolean {
    const all = parseSeries(this.query.s);
    const rest = all.filter((item) => item.id !== id);
    if (on && rest.length >= MOST_SERIES) return false;
    router.change("explore", { s: formatSeries(on ? [...rest, { id, axis: null, step: false }] : rest) });
    return true;
  }

  /** A click isolates, and a second one shows all again; with Ctrl it shows or hides this one. */
  legend(id: string, only: boolean): void {
    const others = this.ids.filter((item) => item !== id);
    if (only) {
      const alone = !this.hidden.has(id) && others.every((item) => this.hidden.has(item));
      this.hidden = new Set(alone ? [] : others);
      return;
    }
    const next = new Set(this.hidden);
    if (!next.delete(id)) next.add(id);
    this.hidden = next.size === this.ids.length ? new Set() : next;
  }
}

interface ForecastAnswer {
  times: string[];
  values: number[];
  levels: Record<string, { lower: number[]; upper: number[] }>;
}

function fanOf(series: string, answer: ForecastAnswer): Fan {
  const levels = Object.keys(answer.levels).sort((a, b) => Number(b) - Number(a));
  const level = levels[0] ?? "";
  const bounds = answer.levels[level];
  return { series, level, time: answer.times.map(parseMs), values: answer.values, lower: bounds?.lower ?? answer.values, upper: bounds?.upper ?? answer.values };
}

interface AnomaliesAnswer {
  anomalies: { at: string; value: number; reason: string }[];
}

interface ChangeEvent {
  series: string;
  time: string | null;
  window: string | null;
  old: number | null;
  new: number | null;
  why: string;
}

function noteOf(event: ChangeEvent): ChangeNote {
  const words: Record<string, string> = { replaced: "replaced by a later record", overtaken: "an earlier record arrived", late: "points came late", replay: "changed by a replay", deleted: "deleted" };
  const value = (number: number | null) => (number === null ? "none" : Number(number.toPrecision(4)).toLocaleString());
  return {
    series: event.series,
    at: parseMs(event.time ?? event.window ?? ""),
    reason: `was ${value(event.old)}, is ${value(event.new)}: ${words[event.why] ?? event.why}`,
  };
}
