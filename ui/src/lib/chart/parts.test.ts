import { describe, expect, it } from "vitest";
import { bandCells, coverageOf } from "./band.ts";
import { indexAt, nearest, rings } from "./envelope.ts";
import { breakAtGaps, gapBoxes, joinTimes, singles } from "./gaps.ts";
import { markText, mergeMarks, nextMark } from "./marks.ts";
import type { Gap, Mark, Value } from "./model.ts";
import { axisRange, logTicks, valueTicks, withRejected } from "./scale.ts";
import { keyAction, LEAST, pan, pinch, zoom } from "./view.ts";

const gap = (start: number, end: number, series = "a", why: Gap["why"] = "never_received"): Gap => ({ series, start, end, why });
const mark = (at: number, kind: Mark["kind"] = "rejected", reasons: string[] = []): Mark => ({ kind, at, count: 1, series: "a", reasons });

describe("gaps", () => {
  it("breaks a line inside a gap, and passes over windows in which nothing was due", () => {
    expect(breakAtGaps([0, 1, 2, 3, 4, 5], [1, null, 2, null, null, 3], [gap(3, 5)]).values).toEqual(
      [1, undefined, 2, null, null, 3]);
  });

  it("breaks between two points with a gap between them", () => {
    const { values, breaks } = breakAtGaps([0, 10], [1, 2], [gap(2, 8)]);
    expect(values).toEqual([1, 2]);
    expect(breaks).toEqual([5]);
    const joined = joinTimes([{ time: [0, 10], values, breaks }, { time: [0, 5, 7], values: [4, 5, 6], breaks: [] }]);
    expect(joined.time).toEqual([0, 5, 7, 10]);
    expect(joined.values).toEqual([[1, null, undefined, 2], [4, 5, 6, undefined]]);
  });

  it("hatches only where every shown series has a gap, and keeps reasons apart", () => {
    const gaps = [gap(0, 10), gap(5, 20, "b"), gap(10, 20, "a", "all_rejected")];
    const boxes = gapBoxes(gaps, ["a", "b"], { from: 0, to: 100 });
    expect(boxes.map(({ start, end, why }) => [start, end, why])).toEqual([
      [5, 10, ["never_received"]],
      [10, 20, ["all_rejected", "never_received"]],
    ]);
    expect(gapBoxes([gap(0, 10), gap(10, 20)], ["a"], { from: 4, to: 12 })).toMatchObject([{ start: 4, end: 12 }]);
    expect(gapBoxes(gaps, [], { from: 0, to: 100 })).toEqual([]);
  });

  it("knows points that no line shows", () => {
    const values: Value[] = [1, null, undefined, 2, undefined, null, 3, undefined, 4];
    expect(singles(values)).toEqual([0, 3]);
  });
});

describe("envelope", () => {
  const same = (value: number) => value;

  it("is one ring for each run without a gap", () => {
    const made = rings([0, 10, 20, 30, 40], [1, 2, null, 3, 4], [5, 6, null, 7, 8], 0, 4, same, same);
    expect(made.map((ring) => ring.points)).toEqual([
      [0, 5, 10, 6, 10, 2, 0, 1],
      [30, 7, 40, 8, 40, 4, 30, 3],
    ]);
  });

  it("keeps the extremes of windows that share a column", () => {
    const flip = (value: number) => -value;
    const made = rings([0, 0.1, 0.2, 5], [1, -9, 1, 1], [2, 2, 99, 2], 0, 3, same, flip);
    expect(made[0]?.points.slice(0, 2)).toEqual([0, -99]);
    expect(made[0]?.points.slice(-2)).toEqual([0, 9]);
  });

  it("goes on over windows in which nothing was due", () => {
    expect(rings([0, 1, 2], [1, undefined, 1], [2, undefined, 2], 0, 2, same, same)).toHaveLength(1);
  });

  it("finds instants", () => {
    expect([indexAt([1, 2, 3], 2), indexAt([1, 2, 3], 2.5), indexAt([1, 2, 3], 9)]).toEqual([1, 2, 3]);
    expect([nearest([1, 5, 9], 2), nearest([1, 5, 9], 4), nearest([1, 5, 9], 99), nearest([], 1)]).toEqual([0, 1, 2, -1]);
  });
});

describe("marks", () => {
  it("merges those of one kind within 6 px, and counts", () => {
    const marks = [mark(0, "rejected", ["outside_range"]), mark(5), mark(6), mark(3, "flagged"), mark(40)];
    const groups = mergeMarks(marks, (at) => at, 100);
    expect(groups.map(({ kind, count }) => [kind, count])).toEqual([
      ["rejected", 2], ["flagged", 1], ["rejected", 1], ["rejected", 1],
    ]);
    expect(markText(groups[0] as never)).toBe("2 rejected: outside_range");
  });

  it("keeps every count, however many marks", () => {
    const marks = Array.from({ length: 5000 }, (_, n) => mark(n));
    const groups = mergeMarks(marks, (at) => at / 10, 500);
    expect(groups.reduce((sum, group) => sum + group.count, 0)).toBe(5000);
    groups.forEach((group, n) => n && expect(group.x - (groups[n - 1]?.x ?? 0)).toBeGreaterThan(3));
    expect(mergeMarks(marks, (at) => at, 100).reduce((sum, group) => sum + group.count, 0)).toBe(101);
  });

  it("steps from mark to mark", () => {
    const marks = [mark(1), mark(5), mark(9)];
    expect([nextMark(marks, 1, 1), nextMark(marks, 9, -1), nextMark(marks, 9, 1)]).toEqual([5, 5, null]);
  });
});

describe("evidence band", () => {
  const window = (start: number, n: number, expected: number | null = 10) =>
    ({ start, end: start + 1, n, expected, restated: false, sealed: false });

  it("counts narrow windows as one cell", () => {
    const cells = bandCells([0, 1, 2, 3].map((start) => window(start, start === 1 ? 0 : 10)), { from: 0, to: 4 }, 12);
    expect(cells.map(({ start, end, coverage }) => [start, end, coverage])).toEqual([[0, 2, 0.5], [2, 4, 1]]);
    expect(cells[0]?.strength).toBeCloseTo(0.0625);
  });

  it("tells nothing due from nothing known", () => {
    expect(bandCells([window(0, 0), window(1, 0, 0), window(2, 3, null)], { from: 0, to: 3 }, 300)).toMatchObject([
      { empty: true, coverage: 0 }, { empty: false, coverage: 1 }, { empty: false, coverage: null },
    ]);
  });

  it("is the share of what was due that came", () => {
    expect(coverageOf([window(0, 20), window(1, 5)])).toBe(0.75);
    expect(coverageOf([window(0, 20, null)])).toBeNull();
  });
});

describe("view", () => {
  it("keeps the instant under the pointer when zooming", () => {
    expect(zoom({ from: 0, to: 100 }, 0.5, 20)).toEqual({ from: 10, to: 60 });
    const least = zoom({ from: 0, to: LEAST }, 0.001, 0);
    expect(least.to - least.from).toBe(LEAST);
    expect(pan({ from: 0, to: 100 }, 0.25)).toEqual({ from: 25, to: 125 });
  });

  it("keeps the instants under two fingers", () => {
    expect(pinch(25, 75, 0, 1)).toEqual({ from: 25, to: 75 });
    const wide = pinch(25, 75, 0.4, 0.6);
    expect([wide?.from, wide?.to].map((at) => Math.round(at ?? 0))).toEqual([-75, 175]);
    expect(pinch(25, 75, 0.5, 0.5)).toBeNull();
  });

  it("gives each key its action", () => {
    expect(keyAction("ArrowLeft", true)).toEqual({ do: "step", share: -0.25 });
    expect(keyAction("+", true)).toEqual({ do: "zoom", factor: 0.5 });
    expect(keyAction("q", false)).toBeNull();
  });
});

describe("axes", () => {
  it("gives 6 % of air, and room to a constant", () => {
    expect(axisRange([0, 100], "auto")).toEqual([-6, 106]);
    expect(axisRange([50, 100], "zero")).toEqual([0, 106]);
    expect(axisRange([5, 5], "auto")).toEqual([4.7, 5.3]);
    expect(axisRange(null, "auto")).toEqual([0, 1]);
    expect(axisRange([-1, 100], "log")[0]).toBeGreaterThan(0);
  });

  it("makes room for rejected values that are not far off", () => {
    expect(withRejected([4, 8], [12, 99, 2])).toEqual([2, 12]);
    expect(withRejected([4, 8], [])).toEqual([4, 8]);
    expect(withRejected(null, [1])).toBeNull();
  });

  it("has round ticks", () => {
    expect(valueTicks(-0.2, 8.3, 320)).toEqual([0, 2, 4, 6, 8]);
    expect(valueTicks(0.1, 0.35, 320)).toEqual([0.1, 0.15, 0.2, 0.25, 0.3, 0.35]);
    expect(logTicks(0.5, 2000)).toEqual([1, 10, 100, 1000]);
    expect(logTicks(1, 30)).toEqual([1, 2, 5, 10, 20]);
  });
});
