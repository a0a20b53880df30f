import { describe, expect, it } from "vitest";
import { barsTitle, chartSpan, rateNow } from "./flow";

const NOW = Date.parse("2026-11-30T12:00:30Z");

describe("the windows of the chart", () => {
  it.each([
    ["15m", "10s"],
    ["1h", "30s"],
    ["24h", "15m"],
    ["7d", "2h"],
  ] as const)("of %s are %s long", (range, every) => {
    expect(chartSpan(range, NOW - 30 * 86_400_000, NOW).every).toBe(every);
  });

  it("begin where the first record came", () => {
    expect(chartSpan("24h", NOW - 20 * 60_000, NOW)).toEqual({
      startMs: Date.parse("2026-11-30T11:40:30Z"),
      every: "10s",
      stepMs: 10_000,
    });
    expect(chartSpan("24h", NOW - 110 * 60_000, NOW).every).toBe("1m");
    expect(chartSpan("24h", NOW, NOW).startMs).toBe(NOW - 15 * 60_000);
  });
});

describe("words", () => {
  it("name the window", () => {
    expect(barsTitle(60_000)).toBe("Records a minute");
    expect(barsTitle(10_000)).toBe("Records every 10 s");
    expect(barsTitle(3_600_000)).toBe("Records an hour");
  });

  it("the rate is of whole minutes", () => {
    expect(rateNow([0, 60, 180, 5])).toBe(2);
    expect(rateNow([])).toBe(0);
  });
});
