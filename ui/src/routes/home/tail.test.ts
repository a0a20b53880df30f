import { describe, expect, it } from "vitest";
import { grouped, lineOf, type Receipt } from "./tail";

const receipt = (part: Partial<Receipt> = {}): Receipt => ({
  key: 1,
  receipt: "01a2",
  feed: "pumps",
  receivedAt: "2026-11-30T02:00:14.200000000Z",
  payloads: 1,
  accepted: 12,
  rejected: 0,
  flagged: 0,
  waiting: false,
  reasons: {},
  ...part,
});

describe("a line of the tail", () => {
  it.each([
    [{}, "accepted", "12 records, all accepted", ""],
    [{ accepted: 1 }, "accepted", "1 record", ""],
    [{ rejected: 1, accepted: 0, reasons: { too_old: 1 } }, "rejected", "1 record rejected:", "too_old"],
    [{ rejected: 2, reasons: { too_old: 1, late: 4 } }, "rejected", "2 of 14 records rejected:", "late"],
    [{ rejected: 1, accepted: 0, reasons: { duplicate: 1 } }, "duplicate", "1 record rejected:", "duplicate"],
    [{ flagged: 1, reasons: { step_change: 1 } }, "flagged", "12 records, 1 flagged", "step_change"],
    [{ waiting: true }, "waiting", "received, waits to be applied", ""],
  ] as const)("of %o", (part, glyph, text, code) => {
    expect(lineOf(receipt(part))).toMatchObject({ glyph, text, code });
  });
});

describe("the tail", () => {
  const at = (ms: number, n: number, feed = "pumps") =>
    receipt({ receipt: `r${n}`, feed, receivedAt: new Date(ms).toISOString() });

  it("is newest first", () => {
    const lines = grouped([at(1000, 1), at(3000, 3), at(2000, 2)], 9);
    expect(lines.map((line) => line.at)).toEqual([3000, 2000, 1000]);
  });

  it("groups by feed when more than ten came in a second", () => {
    const many = Array.from({ length: 12 }, (_, n) => at(5000 + n, n, n % 2 ? "pumps" : "meters"));
    const lines = grouped([...many, at(1000, 99)], 9);
    expect(lines).toHaveLength(3);
    expect(lines[0]?.text).toBe("72 records in 6 payloads, all accepted");
    expect(grouped(many.slice(0, 10), 20)).toHaveLength(10);
  });
});
