import { describe, expect, it } from "vitest";
import { decimal, fixed, SCALE } from "./decimal.ts";
import { costByMonth, kwhText, lengthFor, money, windowAt } from "./cost.ts";
import { formatTariff, parseTariff, type Tariff } from "./tariff.ts";

const tariff = parseTariff("CHF;0.2150;0.3250@1-5@06:00-22:00;0.1@6,7@22:00-06:00") as Tariff;

describe("a decimal", () => {
  it.each(["0", "0.1", "12.345", "-3.5", "1e-7", "2.5E2"])("keeps the digits of %s", (text) => {
    const value = decimal(text);
    expect(value).not.toBeNull();
    expect(Number(value) / 10 ** SCALE).toBeCloseTo(Number(text), 12);
  });

  it("is exact where floats are not", () => {
    const sum = (decimal("0.1") as bigint) + (decimal("0.2") as bigint);
    expect(sum).toBe(decimal("0.3"));
    expect(fixed(decimal("1234.005") as bigint, SCALE, 2)).toBe("1,234.01");
    expect(fixed(decimal("-0.004") as bigint, SCALE, 2)).toBe("0.00");
  });

  it.each(["", "abc", "1.2.3", "1,5"])("is not %j", (text) => expect(decimal(text)).toBeNull());
});

describe("a tariff", () => {
  it("is the same after a round trip", () => {
    expect(formatTariff(tariff)).toBe("CHF;0.2150;0.3250@1-5@06:00-22:00;0.1@6,7@22:00-06:00");
    expect(parseTariff(formatTariff(tariff))).toEqual(tariff);
  });

  it.each(["", "CHF", "CHF;x", "CHF;1;2@8@06:00-07:00", "CHF;1;2@1@25:00-26:00"])("is not %j", (text) => expect(parseTariff(text)).toBeNull());

  it("applies its first window, also over midnight", () => {
    expect(windowAt(tariff, 1, 6 * 60)).toBe(0);
    expect(windowAt(tariff, 1, 22 * 60)).toBe(-1);
    expect(windowAt(tariff, 6, 23 * 60)).toBe(1);
    expect(windowAt(tariff, 7, 5 * 60 + 59)).toBe(1);
    expect(windowAt(tariff, 7, 6 * 60)).toBe(-1);
  });

  it("needs windows of points that its edges do not cut", () => {
    expect(lengthFor(tariff)).toBe("1h");
    expect(lengthFor(parseTariff("CHF;1;2@1@06:15-07:00") as Tariff)).toBe("15m");
    expect(lengthFor(parseTariff("CHF;1;2@1@06:10-07:00") as Tariff)).toBeNull();
  });

  it("costs each month what it costs by hand", () => {
    // Monday 30 November 2026: 2 kWh by day at 0.325, 1 kWh by night at 0.215; Tuesday 1 December: 0.1 kWh by night.
    const time = ["2026-11-30T06:00:00+01:00", "2026-11-30T21:00:00+01:00", "2026-11-30T22:00:00+01:00", "2026-12-01T00:00:00+01:00"];
    const months = costByMonth(tariff, "kWh", time, [1.5, 0.5, 1, 0.1]);
    expect(months.map((month) => [month.month, money(month.cost), kwhText(month.energy[0] as bigint)])).toEqual([
      ["2026-11", "0.87", "2.000"], // 0.65 + 0.215 = 0.865
      ["2026-12", "0.02", "0.000"], // 0.0215
    ]);
    expect(money(costByMonth(tariff, "Wh", time, [1500, 500, 1000, 100])[0]?.cost as bigint)).toBe("0.87");
  });
});
