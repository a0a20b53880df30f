import { expect, test } from "vitest";
import { kindOf, type PollItem, runsOf } from "../../lib/sources/words.ts";
import { drafted, renamed } from "./recipe.ts";

test("a definition is drafted from a record on each line", () => {
  const text = drafted("pumps", '{"t": "2026-11-29T14:42:10Z", "pump": "p1", "bar": 5.1}\n{"t": "x"}');
  expect(text).toBe('name = "pumps"\n\n[time]\npath = "$.t"\n\n[tags.pump]\npath = "$.pump"\n\n[fields.bar]\npath = "$.bar"\n');
});

test("records within an answer, times as numbers, names that are no names", () => {
  const text = drafted("air", '{"meta": {}, "data": {"rows": [{"time": 1796070856, "Outdoor Temp": 4.5, "site": {"id": "n 1"}}]}}') ?? "";
  expect(text).not.toContain("records");
  const list = drafted("air", '{"rows": [{"time": 1796070856, "Outdoor Temp": 4.5, "site": {"id": "n 1"}}]}') ?? "";
  expect(list).toContain('records = "$.rows"');
  expect(list).toContain('format = "unix_s"');
  expect(list).toContain('[fields.outdoor_temp]\npath = "$[\\"Outdoor Temp\\"]"');
  expect(list).toContain('[tags.id]\npath = "$.site.id"');
});

test("a text that is no JSON drafts nothing; a recipe gets another name", () => {
  expect(drafted("x", "time,value\n1,2")).toBeNull();
  expect(renamed('# of phones\nname = "location"\ntitle = "x"', "fleet")).toBe('# of phones\nname = "fleet"\ntitle = "x"');
});

const poll = (minute: number, result: string, status: number | null = 200): PollItem => ({
  started_at: new Date(minute * 60_000).toISOString(),
  next_due: new Date((minute + 1) * 60_000).toISOString(),
  result,
  status,
  feed: "f",
  item: "",
  latency_ms: 1,
  bytes: 0,
  records: 0,
  sha256: null,
  receipt: null,
  detail: null,
  links: {},
});

test("a strip: before the first poll nothing, then what each came to, and nobody asked where polls are late", () => {
  expect([kindOf(poll(0, "data")), kindOf(poll(0, "empty")), kindOf(poll(0, "timeout", null)), kindOf(poll(0, "undecodable", 200))]).toEqual(["data", "empty", "unreached", "unusable"]);
  const polls = [poll(2, "data"), poll(3, "timeout", null), poll(4, "empty"), poll(8, "data")];
  expect(runsOf(polls, 0, 10 * 60_000, 10)).toEqual([
    { kind: "data", first: 2, end: 3 },
    { kind: "unreached", first: 3, end: 4 },
    { kind: "empty", first: 4, end: 6 },
    { kind: "unpolled", first: 6, end: 8 },
    { kind: "data", first: 8, end: 10 },
  ]);
});
