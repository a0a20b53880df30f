import { describe, expect, it } from "vitest";
import { differing, hexRows, laidOut, type Mark, nearFaults, segments, textParts } from "./spans";

const bytes = (text: string) => new TextEncoder().encode(text);
const joined = (parts: { text: string }[]) => parts.map((part) => part.text).join("");

describe("marked bytes", () => {
  it("are cut where marks begin and end, a fault above a record", () => {
    const marks: Mark[] = [{ start: 2, end: 8, kind: "record" }, { start: 4, end: 6, kind: "fault" }];
    expect(segments(0, 10, marks)).toEqual([
      { start: 0, end: 2, kind: null },
      { start: 2, end: 4, kind: "record" },
      { start: 4, end: 6, kind: "fault" },
      { start: 6, end: 8, kind: "record" },
      { start: 8, end: 10, kind: null },
    ]);
    expect(segments(5, 5, marks)).toEqual([]);
  });

  it("stand in rows that are aligned to the payload, whatever they hold", () => {
    const rows = hexRows(bytes('<b>"\u0000é'), 6, [{ start: 8, end: 9, kind: "fault" }]);
    expect(rows.map((row) => row.at)).toEqual(["0006", "0008"]);
    expect(rows[1]?.parts.map((part) => [part.hex, part.kind])).toEqual([["3e", "fault"], ["22 00 c3 a9", null]]);
    expect(rows[1]?.parts[1]?.text).toBe('"···');
  });

  it("keep every text digit by digit", () => {
    const text = '{"a":1.10,"big":12345678901234567890, "n": [1, {"x": "}, \\" ]"}]}';
    const parts = laidOut(bytes(text), 100, [{ start: 105, end: 109, kind: "fault" }]);
    expect(JSON.stringify(parts.find((part) => part.kind === "fault")?.text)).toBe('"1.10"');
    expect(joined(parts).replace(/\s/g, "")).toBe(text.replace(/\s/g, ""));
    expect(parts.filter((part) => part.key).map((part) => part.text)).toEqual(['"a"', '"big"', '"n"', '"x"']);
    expect(joined(laidOut(bytes("no json, at all"), 0, []))).toBe("no json, at all");
    expect(joined(textParts(bytes("a<b>"), 0, []))).toBe("a<b>");
  });

  it("show what differs from another record", () => {
    const [one, other] = [bytes('{"t":1,"bar":5.9}'), bytes('{"t":1, "bar":4.9}')].map((text) => laidOut(text, 0, []));
    expect(differing(one ?? [], other ?? []).filter((part) => part.kind !== null).map((part) => part.text)).toEqual(["5.9"]);
  });

  it("show rows near a fault where there are many", () => {
    const rows = hexRows(new Uint8Array(800), 0, [{ start: 400, end: 401, kind: "fault" }]);
    const shown = nearFaults(rows, 6);
    expect(shown.filter((row) => row !== null)).toHaveLength(6);
    expect(shown.some((row) => row?.parts.some((part) => part.kind === "fault"))).toBe(true);
    expect(nearFaults(rows.slice(0, 3), 6)).toHaveLength(3);
  });
});
