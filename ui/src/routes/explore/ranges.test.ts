import { describe, expect, it } from "vitest";
import { beside, calendarRanges, fieldMs, fieldText } from "./ranges.ts";

const ms = (text: string) => Date.parse(text);
const zone = "Europe/Zurich";

describe("ranges", () => {
  it("are days and months of the zone's calendar", () => {
    const ranges = new Map(calendarRanges(ms("2026-10-25T12:00:00Z"), zone).map(({ label, from, to }) => [label, [from, to]]));
    expect(ranges.get("Today")).toEqual(["2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"]);
    expect(ranges.get("This week")).toEqual(["2026-10-18T22:00:00Z", "2026-10-25T23:00:00Z"]);
    expect(ranges.get("Last month")).toEqual(["2026-08-31T22:00:00Z", "2026-09-30T22:00:00Z"]);
  });

  it("stay whole days when the next one is of another length", () => {
    const day = { from: ms("2026-10-23T22:00:00Z"), to: ms("2026-10-24T22:00:00Z") };
    const next = beside(day, 1, zone);
    expect(next).toEqual({ from: day.to, to: ms("2026-10-25T23:00:00Z") });
    expect(beside(next, -1, zone)).toEqual(day);
    expect(beside({ from: 10, to: 20 }, -1, zone)).toEqual({ from: 0, to: 10 });
  });

  it("are read from fields and written into them", () => {
    for (const text of ["2026-11-29 14:42:10", "2026-11-29 14:42", "2026-11-29 00:00", "2026-11-29 14:42:10.250"]) {
      expect(fieldText(fieldMs(text, zone) ?? 0, zone)).toBe(text);
    }
    expect(fieldMs("2026-11-29", zone)).toBe(ms("2026-11-28T23:00:00Z"));
    expect(fieldMs("2026-11-29T14:42:10Z", zone)).toBe(ms("2026-11-29T14:42:10Z"));
    expect([fieldMs("yesterday", zone), fieldMs("2026-13-01", zone), fieldMs("2026-02-30", zone)]).toEqual([null, null, null]);
  });
});
