import { describe, expect, it } from "vitest";
import { beginsOf, stackPaths, stepOf } from "$lib/chart/stack";
import { lineDiff } from "$lib/format/lines";
import { byClass } from "$lib/ledger/classes";
import { match } from "$lib/url/match";
import { keyOf, type LedgerQuery, parameters, path, rangeOf } from "./choice";

const NOW = Date.parse("2026-03-10T12:00:00Z");
const query = (url: string) => (match(url) as unknown as { query: LedgerQuery }).query;

describe("the ledger's questions", () => {
  it("are of the time of receipt, or of the records' own", () => {
    const received = query("/ledger?feed=pumps&reason=late&reason=duplicate&tag.pump=p1&recovered=yes");
    expect(path("/v1/rejections", parameters(received, rangeOf(received, NOW)))).toBe(
      "/v1/rejections?feed=pumps&reason=late&reason=duplicate&tag.pump=p1&recovered=only&start=2026-03-09T12:00:00Z&end=2026-03-10T12:00:00Z",
    );
    const own = query("/ledger?by=time&from=2026-03-10T06:00:00Z&to=2026-03-10T07:00:00Z");
    expect(parameters(own, rangeOf(own, NOW)).toString()).toContain("time_start=2026-03-10T06");
    expect(parameters(received, rangeOf(received, NOW), ["reason"]).getAll("reason")).toEqual([]);
  });

  it("of one payload have no range unless one is chosen", () => {
    const one = query("/ledger?receipt=r1");
    expect(parameters(one, rangeOf(one, NOW)).toString()).toBe("receipt=r1");
    const narrowed = query("/ledger?receipt=r1&from=-1h");
    expect(parameters(narrowed, rangeOf(narrowed, NOW)).has("start")).toBe(true);
  });

  it("name a record by payload and index", () => {
    expect(keyOf("01a2-b:12")).toEqual({ receipt: "01a2-b", index: 12 });
    expect(keyOf("01a2-b")).toBeNull();
  });
});

describe("its bars", () => {
  it("cover the range, at most a hundred of them", () => {
    for (const span of [1000, 3_600_000, 86_400_000, 30 * 86_400_000, 700 * 86_400_000]) {
      const step = stepOf(span);
      const begins = beginsOf(NOW - span, NOW, step.ms);
      expect(begins[0]).toBeLessThanOrEqual(NOW - span);
      expect((begins[begins.length - 1] ?? 0) + step.ms).toBeGreaterThanOrEqual(NOW);
      expect(begins.length).toBeLessThanOrEqual(102);
    }
    expect(new Date(beginsOf(NOW, NOW + 1, 7 * 86_400_000)[0] ?? 0).getUTCDay()).toBe(1);
  });

  it("stand on one another, by kind of end", () => {
    expect(byClass({ late: 2, duplicate: 3, outside_range: 4, missing: 1 })).toEqual({ rejected: 5, late: 2, duplicate: 3 });
    const [below, above] = stackPaths([[2, 0], [2, 1]], 4, 100);
    expect(below).toMatch(/^M\S+ 100\.0h\S+V50\.0/);
    expect(above).toContain(" 49.4h");
  });
});

describe("differences of a definition", () => {
  it("show the lines that differ", () => {
    expect(lineDiff("a\nmax = 10\nb\n", "a\nmax = 16\nb\n")).toEqual([{ kind: "del", text: "max = 10" }, { kind: "add", text: "max = 16" }]);
    expect(lineDiff("a\nb", "a\nb")).toEqual([]);
    expect(lineDiff("a\nb\nc", "x\nb\ny").map((line) => line.kind)).toEqual(["del", "add", "skip", "del", "add"]);
  });
});
