import { describe, expect, it } from "vitest";
import { bandOf, boundsOf, buildModel, figuresOf, labelOf, parseMs, type Parts, type PointColumns } from "./answers.ts";
import { assignColours, formatSeries, formatY, lengthMs, lengthText, meanSearch, parseSeries, parseY, rollingOf, searchOf, withShown } from "./choice.ts";
import { Lru } from "./lru.ts";
import { notebook } from "./notebook.ts";
import { filePath, instantParameter, pointsPath, rejectionsPath } from "./requests.ts";
import { rollingMean } from "./rolling.ts";
import { chartName, countSentence } from "./sentences.ts";
import { densest, questionFor, windowsFor } from "./windows.ts";

describe("the query's parts", () => {
  it("reads series with axis and shape, and writes them back", () => {
    const entries = ["a1", "b2.axis2", "c3.step", "d4.axis2.step"];
    expect(formatSeries(parseSeries([...entries, "a1.step"]))).toEqual(entries);
  });

  it("reads the y axis, and refuses what is none", () => {
    for (const text of ["", "zero", "log", "-1.5..16", "0..1e6"]) expect(formatY(parseY(text) ?? "auto")).toBe(text.replace("1e6", "1000000"));
    expect([parseY("5..1"), parseY("a..b"), parseY("linear")]).toEqual([null, null, null]);
  });

  it("reads overlays with their arguments", () => {
    expect(rollingOf(["rejected", "rolling:3h"])).toBe("3h");
    expect(rollingOf(["rejected"])).toBeNull();
    expect(withShown(["rejected", "rolling:3h"], "rolling", true, "1h")).toEqual(["rejected", "rolling:1h"]);
    expect(withShown(["rejected", "flagged"], "rejected", false)).toEqual(["flagged"]);
    const search = searchOf("a, b", { feed: ["pumps"], "tag.site": ["north", "south: 2"] }).toString();
    const shown = withShown(["rejected"], "mean", true, search).join(",").split(",");
    expect([...new URLSearchParams(meanSearch(shown) ?? "")]).toEqual([["q", "a, b"], ["feed", "pumps"], ["tag.site", "south: 2"]]);
    expect([meanSearch(["rejected"]), meanSearch(["mean"])]).toEqual([null, ""]);
  });

  it("reads lengths of windows", () => {
    expect([lengthMs("3m"), lengthMs("1d"), lengthMs("x")]).toEqual([180_000, 86_400_000, null]);
    expect([lengthText("3m"), lengthText("2w"), lengthText("1mo"), lengthText("500ms")]).toEqual(["3 min", "2 weeks", "1 month", "500 ms"]);
  });

  it("keeps a colour while its series is shown, and gives free ones to new series", () => {
    const first = assignColours(["a", "b", "c"], new Map());
    const second = assignColours(["c", "d", "b"], first);
    expect([...second]).toEqual([["c", 3], ["b", 2], ["d", 1]]);
  });
});

describe("answers that are kept", () => {
  it("are the 64 used last", () => {
    const lru = new Lru<number>(64);
    for (let n = 0; n < 64; n += 1) lru.set(String(n), n);
    lru.get("0");
    lru.set("64", 64);
    expect([lru.size, lru.get("0"), lru.get("1"), lru.get("64")]).toEqual([64, 0, undefined, 64]);
  });

  it("are dropped when they are too old", () => {
    const lru = new Lru<number>();
    lru.set("a", 1, 1000);
    expect([lru.get("a", 500, 1400), lru.get("a", 500, 1600), lru.size]).toEqual([1, undefined, 0]);
  });
});

describe("what is asked for", () => {
  it("is as many windows as the plot has room for, by steps", () => {
    expect([windowsFor(300), windowsFor(880), windowsFor(890), windowsFor(5000)]).toEqual([260, 520, 520, 1200]);
  });

  it("is points once there is at most one for a px, and always when chosen", () => {
    const perMs = densest([{ count: 101, from: 0, to: 100 }, { count: 11, from: 0, to: 100 }]);
    expect(perMs).toBeCloseTo(1.01);
    expect(questionFor("", 800, 880, perMs)).toEqual({ kind: "points" });
    expect(questionFor("", 900, 880, perMs)).toEqual({ kind: "windows", every: null, windows: 520 });
    expect(questionFor("", 900, 880, null).kind).toBe("windows");
    expect(questionFor("3m", 800, 880, perMs)).toEqual({ kind: "windows", every: "3m", windows: 0 });
    expect(questionFor("raw", 1e9, 880, perMs)).toEqual({ kind: "points" });
  });

  it("names the range to the nanosecond", () => {
    expect(instantParameter(Date.parse("2026-11-29T14:42:10Z"))).toBe("2026-11-29T14:42:10Z");
    expect(instantParameter(Date.parse("2026-11-29T14:42:10.250Z"))).toBe("2026-11-29T14:42:10.250Z");
    expect(instantParameter(1000.5)).toBe("1970-01-01T00:00:01.000500000Z");
  });

  const view = { ids: ["a1", "b2"], from: 0, to: 86_400_000, zone: "Europe/Zurich", agg: "mean" };

  it("has its twins in other formats and as lines for a notebook", () => {
    expect(pointsPath(view, { kind: "windows", every: null, windows: 520 })).toBe(
      "/v1/points?series=a1,b2&start=1970-01-01T00:00:00Z&end=1970-01-02T00:00:00Z&tz=Europe/Zurich&points=520&agg=mean,min,max&evidence=true");
    expect(filePath(view, null, "csv")).toContain("format=csv");
    expect(filePath(view, null, "csv")).not.toContain("shape");
    expect(rejectionsPath("a1", view)).toContain("time_start=1970-01-01T00:00:00Z");
    expect(notebook(view, "3m", "http://localhost", ["p1 · bar"])).toContain('every="3m"');
    expect(notebook(view, null, "http://localhost", ['p": "", **exec("x"), "\n'])).toContain('"p\\": \\"\\", **exec(\\"x\\"), \\"\\n": "');
  });
});

const MIN = 60_000;
const T0 = Date.parse("2026-11-29T14:00:00Z");
const at = (n: number) => new Date(T0 + n * MIN).toISOString();

const windows: PointColumns = {
  every: "1m", tz: "UTC", source: "points", ladder: null, windows: 4, points_read: 21, took_ms: 3, next: null,
  time: [0, 1, 2, 3].map(at),
  gaps: [{ series: "a", start: at(1), end: at(2), why: "not_reached" }],
  series: [
    {
      id: "a", feed: "pumps", name: "p1", field: "bar", tags: { pump: "p1" }, unit: "bar", units: {}, times: null, thinned_from: null,
      columns: { mean: [1, null, 3, 4], min: [0, null, 2, 3], max: [2, null, 4, 9] },
      evidence: { n: [6, 0, 6, 3], expected: [6, 6, 6, 6], rejected: [0, 6, 1, 0], late: [null, null, null, null], flagged: [0, 0, 2, 0], restated: [0, 0, 1, 0] },
    },
  ],
};

const parts: Parts = {
  windows, points: null, chosen: [{ id: "a", axis: null, step: false }], colours: new Map([["a", 2]]), hidden: new Set(), agg: "mean",
  ledger: new Map(), rolling: null, now: T0 + 10 * MIN,
};

describe("the chart's model", () => {
  it("draws windows in their middle, and no line over a gap", () => {
    const model = buildModel(parts);
    expect(model.time[0]).toBe(T0 + MIN / 2);
    expect(model.series[0]).toMatchObject({ label: "p1 · bar", unit: "bar", colour: 2, values: [1, null, 3, 4], max: [2, null, 4, 9] });
    expect(model.marks.map(({ kind, count }) => [kind, count])).toEqual([["rejected", 6], ["rejected", 1], ["flagged", 2]]);
    expect(model.band.map((window) => window.restated)).toEqual([false, false, true, false]);
  });

  it("takes rejected records from the ledger where they are listed, with the value that can be read", () => {
    const rejection = {
      feed: "pumps", receipt: "r", index: 0, received_at: at(2), time: at(2), reasons: ["outside_range"], detail: "", record: { bar: 99 },
      record_text: null, rules_version: 1, series: ["a"], winner: null, recovered_by: null, recovered_at: null,
    };
    const model = buildModel({ ...parts, ledger: new Map([["a", [rejection as never]]]) });
    expect(model.marks.filter((mark) => mark.kind === "rejected")).toEqual([
      { kind: "rejected", at: T0 + 2 * MIN, count: 1, series: "a", reasons: ["outside_range"], value: 99 },
    ]);
  });

  it("draws points themselves, broken at gaps", () => {
    const points: PointColumns = { ...windows, every: null, time: [], gaps: null, series: windows.series.map((series) => ({
      ...series, times: [at(0), at(0.9), at(2.1)], columns: { value: [1, 2, 3] }, evidence: null })) };
    const model = buildModel({ ...parts, points });
    expect(model.starts).toBeNull();
    expect(model.series[0]?.values).toEqual([1, 2, null, 3]);
    expect(model.band).toHaveLength(4);
  });

  it("counts nothing as due that is still to come", () => {
    const band = bandOf(windows, boundsOf(windows), [], new Set(["a"]), T0 + 3.5 * MIN);
    expect(band[3]).toMatchObject({ n: 3, expected: 3 });
    expect(bandOf(windows, boundsOf(windows), [], new Set(["a"]), T0 + 2 * MIN)).toHaveLength(2);
  });

  it("has figures that agree with the evidence", () => {
    expect(figuresOf(windows, null, parts.chosen, parts.now)[0]).toMatchObject({ points: 15, coverage: 0.625, rejected: 7, flagged: 2, last: null });
  });

  it("keeps the fraction of a ms", () => {
    expect(parseMs("1970-01-01T00:00:01.000500000Z")).toBe(1000.5);
    expect(labelOf({ name: "", field: "kwh", tags: {}, feed: "meters" })).toBe("meters · kwh");
  });
});

describe("sentences", () => {
  it("say how the answer was made", () => {
    const answered = { every: "3m", windows: 480, points: 20789, tookMs: 84, more: false, source: "points" };
    expect(countSentence(answered)).toBe("480 windows of 3 min from 20,789 points");
    expect(countSentence({ ...answered, every: null })).toBe("20,789 points, each drawn");
  });

  it("name the finding", () => {
    expect(chartName(buildModel(parts), new Set(), { from: T0, to: T0 + 4 * MIN }, "UTC")).toMatch(/^p1 · bar, .*; a gap 14:01 to 14:02$/);
  });
});

describe("rolling means", () => {
  it("weigh windows by their points, and keep gaps", () => {
    expect(rollingMean([0, 1, 2, 3], [1, 3, null, 5], [1, 3, 0, 1], 2)).toEqual([2.5, 2.5, null, 5]);
  });
});
