import { describe, expect, it } from "vitest";
import { barPath, barScale, cutPath, roundUp, sparkPaths } from "./bars";

describe("bars", () => {
  it.each([
    [0, 1],
    [7, 8],
    [11, 12],
    [1180, 1200],
    [306_780, 400_000],
    [1000, 1000],
  ])("the scale of %d ends at %d", (value, top) => {
    expect(roundUp(value)).toBe(top);
  });

  it("cuts what is many times all others, and only that", () => {
    expect(barScale([9, 10, 11, 10, 9, 8, 12, 10, 11, 5000])).toEqual({ top: 20, cut: true });
    expect(barScale([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])).toEqual({ top: 10, cut: false });
    const minutes = Array.from({ length: 26 }, () => 10);
    expect(barScale([...minutes, 900, 5000, 4000, 3000])).toEqual({ top: 15, cut: true });
    expect(barScale([...minutes.slice(0, 12), 900, 5000, 4000, 3000])).toEqual({ top: 5000, cut: false });
    expect(barScale([0, 0, 5000])).toEqual({ top: 5000, cut: false });
    expect(barScale([])).toEqual({ top: 1, cut: false });
  });

  it("draws a bar for each value that is there, upward and downward", () => {
    const path = barPath([0, 5, 10], { top: 10, cut: false }, 100, 80);
    expect(path.match(/M/g)).toHaveLength(2);
    expect(path).toContain("v-80.0");
    expect(barPath([10], { top: 10, cut: false }, 100, -50)).toContain("v50.0");
    expect(barPath([0.001], { top: 10, cut: false }, 100, 80)).toContain("v-1.5");
    expect(cutPath([1, 50], { top: 10, cut: true }, 100, 80).match(/M/g)).toHaveLength(1);
  });

  it("draws a line of one value too", () => {
    expect(sparkPaths([3]).line).toBe("M0.0 3.0");
  });
});
