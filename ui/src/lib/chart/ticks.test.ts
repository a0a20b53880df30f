import { describe, expect, it } from "vitest";
import { timeTicks } from "./ticks.ts";
import { DAY, HOUR, offsetAt, offsetText, segments, startOfDay, wallAt, zoneExists } from "../format/zone.ts";

const ms = (text: string) => Date.parse(text);
const labels = (start: string, end: string, zone: string, width = 900) =>
  timeTicks(ms(start), ms(end), width, zone).map((tick) => tick.label);

describe("ticks in a zone", () => {
  it("names the day at midnight and hours by 24", () => {
    expect(labels("2026-11-28T23:00:00Z", "2026-11-29T23:00:00Z", "Europe/Zurich", 760)).toEqual([
      "29 Nov", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00", "30 Nov",
    ]);
  });

  it("stays on the wall clock when the clock is put forward", () => {
    const ticks = timeTicks(ms("2026-03-28T23:00:00Z"), ms("2026-03-29T22:00:00Z"), 760, "Europe/Zurich");
    expect(ticks.map((tick) => tick.label)).toEqual(
      ["29 Mar", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00", "30 Mar"]);
    const first = ticks[0]?.at ?? 0;
    expect((ticks[1]?.at ?? 0) - first).toBe(2 * HOUR);
    expect((ticks[2]?.at ?? 0) - (ticks[1]?.at ?? 0)).toBe(3 * HOUR);
  });

  it("shows the repeated hour twice when the clock is put back", () => {
    const hours = labels("2026-10-24T23:00:00Z", "2026-10-25T04:00:00Z", "Europe/Zurich", 480);
    expect(hours).toEqual(["01:00", "02:00", "02:00", "03:00", "04:00", "05:00"]);
  });

  it("keeps days whole over a change of the clock", () => {
    const ticks = timeTicks(ms("2026-10-22T22:00:00Z"), ms("2026-10-28T23:00:00Z"), 600, "Europe/Zurich");
    for (const tick of ticks) expect(wallAt(tick.at, "Europe/Zurich")).toMatchObject({ hour: 0, minute: 0 });
    const lengths = ticks.slice(1).map((tick, n) => tick.at - (ticks[n]?.at ?? 0));
    expect(lengths.filter((length) => length === DAY + HOUR)).toHaveLength(1);
  });

  it("puts ticks on the clock of a zone with half hours", () => {
    expect(labels("2026-06-01T00:00:00Z", "2026-06-01T06:00:00Z", "Asia/Kolkata", 640)).toEqual(
      ["06:00", "07:00", "08:00", "09:00", "10:00", "11:00"]);
  });

  it("says seconds and fractions only where they changed", () => {
    expect(labels("2026-11-29T13:41:50Z", "2026-11-29T13:42:20Z", "Europe/Zurich", 500)).toEqual(
      [":50", ":55", "14:42", ":05", ":10", ":15", ":20"]);
    expect(labels("2026-11-29T13:42:00Z", "2026-11-29T13:42:01Z", "UTC", 500)).toEqual(
      ["13:42", ".200", ".400", ".600", ".800", ":01"]);
  });

  it("names months, and the year in January", () => {
    expect(labels("2026-09-01T00:00:00Z", "2027-03-01T00:00:00Z", "UTC", 640)).toEqual(
      ["Sep", "Oct", "Nov", "Dec", "2027", "Feb", "Mar"]);
    expect(labels("2019-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "UTC", 640)).toEqual(
      ["2019", "2020", "2021", "2022", "2023", "2024", "2025", "2026"]);
  });

  it("has no two ticks nearer than the width allows, in any zone and range", () => {
    for (const zone of ["UTC", "Europe/Zurich", "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Lord_Howe"]) {
      for (let span = 50; span < 40 * 366 * DAY; span *= 3.7) {
        const start = ms("2018-02-10T05:11:00Z");
        const ticks = timeTicks(start, start + span, 800, zone);
        expect(ticks.length).toBeGreaterThan(0);
        expect(ticks.length).toBeLessThan(14);
        ticks.forEach((tick, n) => n && expect(tick.at).toBeGreaterThan(ticks[n - 1]?.at ?? 0));
      }
    }
  });
});

describe("zones", () => {
  it("finds the offset and where it changes", () => {
    expect(offsetAt(ms("2026-07-01T00:00:00Z"), "Europe/Zurich")).toBe(2 * HOUR);
    const parts = segments(ms("2026-01-01T00:00:00Z"), ms("2027-01-01T00:00:00Z"), "Europe/Zurich");
    expect(parts.map((part) => part.offset / HOUR)).toEqual([1, 2, 1]);
    expect(parts[1]?.start).toBe(ms("2026-03-29T01:00:00Z"));
  });

  it("begins a day without midnight when its clock begins", () => {
    expect(startOfDay(2017, 10, 15, "America/Sao_Paulo")).toBe(ms("2017-10-15T03:00:00Z"));
    expect(startOfDay(2026, 11, 29, "Europe/Zurich")).toBe(ms("2026-11-28T23:00:00Z"));
  });

  it("writes offsets", () => {
    expect(offsetText(ms("2026-11-29T00:00:00Z"), "Europe/Zurich")).toBe("+01:00");
    expect(offsetText(ms("2026-11-29T00:00:00Z"), "America/St_Johns")).toBe("-03:30");
    expect(offsetText(0, "UTC")).toBe("Z");
    expect(zoneExists("Europe/Zürich")).toBe(false);
  });
});
