import { describe, expect, it } from "vitest";
import { bytes, count, counted, exact, percent, rate, value } from "./numbers";
import { ago, clock, duration, instant, instantNs, range, toMs } from "./time";

const ZURICH = "Europe/Zurich";
const NOW = Date.parse("2026-11-30T12:00:00Z");

describe("instants", () => {
  it.each([
    "2026-11-29T14:42:10Z",
    "2026-11-29T14:42:10.123456789Z",
    "1969-12-31T23:59:59.999999999Z",
    "1677-09-22T00:12:43.145224193Z",
    "2262-04-11T23:47:16.854775807Z",
  ])("keep every nanosecond: %s", (text) => {
    const [, fraction = ""] = /\.(\d+)Z/.exec(text) ?? [];
    const ns = instantNs(text) ?? 0n;
    expect(new Date(toMs(ns)).toISOString().slice(0, 19)).toBe(text.slice(0, 19));
    expect(((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n).toBe(BigInt(fraction.padEnd(9, "0")));
  });

  it("read offsets and refuse what is none", () => {
    expect(instantNs("2026-11-29T14:42:10.5+01:00")).toBe(instantNs("2026-11-29T13:42:10.5Z"));
    expect(instantNs("yesterday")).toBeNull();
    expect(instantNs("2026-13-01T00:00:00Z")).toBeNull();
  });

  it("stand with their offset, across a change of the clocks", () => {
    const at = (text: string) => instant(instantNs(text) ?? 0n, ZURICH, NOW);
    expect(at("2026-10-25T00:30:00Z")).toBe("25 Oct 02:30:00 +02:00");
    expect(at("2026-10-25T01:30:00Z")).toBe("25 Oct 02:30:00 +01:00");
    expect(at("2026-03-29T01:00:00Z")).toBe("29 Mar 03:00:00 +02:00");
    expect(at("2019-05-01T00:00:00.25Z")).toBe("1 May 2019 02:00:00.25 +02:00");
    expect(instant(0n, "UTC", NOW)).toBe("1 Jan 1970 00:00:00 Z");
    expect(instant(0n, "Asia/Kathmandu", NOW)).toBe("1 Jan 1970 05:30:00 +05:30");
  });

  it("round down to the millisecond, before 1970 too", () => {
    expect(toMs(-1n)).toBe(-1);
    expect(toMs(1_999_999n)).toBe(1);
  });

  it("make a clock", () => {
    expect(clock(Date.parse("2026-11-29T02:00:14.250Z"), "UTC", "tenth")).toBe("02:00:14.2");
  });

  it("make ranges that name both offsets when they differ", () => {
    const ms = (text: string) => Date.parse(text);
    expect(range(ms("2026-11-29T00:00Z"), ms("2026-11-29T12:00Z"), ZURICH, NOW)).toBe("29 Nov 01:00 to 13:00 +01:00");
    expect(range(ms("2026-10-24T22:00Z"), ms("2026-10-25T23:00Z"), ZURICH, NOW)).toBe(
      "25 Oct 00:00 +02:00 to 26 Oct 00:00 +01:00",
    );
  });
});

describe("durations", () => {
  it.each([
    [0, "0 s"],
    [0.000061, "61 µs"],
    [0.0841, "84 ms"],
    [0.1, "0.1 s"],
    [2.44, "2.4 s"],
    [38.2, "38 s"],
    [59.7, "1 min"],
    [90, "1 min 30 s"],
    [360, "6 min"],
    [40_560, "11 h 16 min"],
    [86_400, "1 d"],
    [93_600, "1 d 2 h"],
    [3599.9, "1 h"],
  ])("%f s are %s", (seconds, text) => {
    expect(duration(seconds)).toBe(text);
  });

  it("are said of the past and of what is to come", () => {
    expect(ago(NOW - 14 * 60_000, NOW)).toBe("14 min ago");
    expect(ago(NOW + 38_000, NOW)).toBe("in 38 s");
    expect(ago(NOW - 300, NOW)).toBe("just now");
    expect(ago(NOW - 61_000, NOW)).toBe("1 min ago");
    expect(ago(NOW - 7_500_000, NOW)).toBe("2 h ago");
  });
});

describe("numbers", () => {
  it("are grouped, short in readouts, whole when copied", () => {
    expect(count(1_284_217)).toBe("1,284,217");
    expect(count(12345678901234567890n)).toBe("12,345,678,901,234,567,890");
    expect(value(1.41923, "bar")).toBe("1.419 bar");
    expect(value(-20.5)).toBe("−20.5");
    expect(value(123_456)).toBe("123,456");
    expect(exact("0.1000000000000000055511151231257827")).toBe("0.1000000000000000055511151231257827");
    expect(counted(1, "record")).toBe("1 record");
    expect(counted(12, "record")).toBe("12 records");
  });

  it("are none where there is none", () => {
    for (const text of [value(null), exact(null), count(null), percent(null), bytes(null), value(Number.NaN)]) {
      expect(text).toBe("none");
    }
  });

  it.each([
    [1, "100 %"],
    [0, "0 %"],
    [0.943, "94.3 %"],
    [0.99996, "99.996 %"],
    [0.9999999, "over 99.999 %"],
    [0.0018, "0.2 %"],
    [0.00002, "0.002 %"],
    [0.000000002, "under 0.001 %"],
  ])("a share of %f is %s", (share, text) => {
    expect(percent(share)).toBe(text);
  });

  it("of bytes and of rates", () => {
    expect(bytes(512)).toBe("512 B");
    expect(bytes(39_400_000)).toBe("39 MB");
    expect(bytes(1_440_000_000)).toBe("1.4 GB");
    expect(rate(4.82)).toBe("4.8");
    expect(rate(0.003)).toBe("under 0.01");
    expect(rate(0)).toBe("0");
  });
});
