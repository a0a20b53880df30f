import { describe, expect, it } from "vitest";
import { moveCell, sliceAt, toTsv } from "./rows.ts";

describe("rows of a table", () => {
  it("are all made up to 200, and around the view beyond", () => {
    expect(sliceAt(200, 0, 320, 32)).toEqual({ first: 0, end: 200 });
    expect(sliceAt(10_000, 3200, 320, 32)).toEqual({ first: 92, end: 118 });
    expect(sliceAt(10_000, 320_000, 320, 32).end).toBe(10_000);
  });

  it("have a focus that stays in the grid", () => {
    const at = { row: 0, column: 0 };
    expect(moveCell("ArrowUp", false, at, 5, 3, 4)).toEqual({ row: -1, column: 0 });
    expect(moveCell("PageDown", false, at, 5, 3, 4)).toEqual({ row: 4, column: 0 });
    expect(moveCell("PageDown", false, { row: 3, column: 1 }, 5, 3, 4)).toEqual({ row: 4, column: 1 });
    expect(moveCell("End", true, at, 5, 3, 4)).toEqual({ row: 4, column: 2 });
    expect(moveCell("x", false, at, 5, 3, 4)).toBeNull();
  });

  it("are copied as one line each", () => {
    expect(toTsv(["a", "b"], [["x\ty", 1.5], [null, "z\n"]])).toBe("a\tb\nx y\t1.5\n\tz ");
    expect(toTsv(["a", "b", "c"], [["=1+1", "-0.5", "-1e-7"], ["@a", -2, "-2+A1"]])).toBe("a\tb\tc\n'=1+1\t-0.5\t-1e-7\n'@a\t-2\t'-2+A1");
  });
});
