import { describe, expect, test } from "vitest";
import { hexRows, hexSpans, textOf, textSpans } from "./bytes.ts";
import { folded, pairLines } from "../format/lines.ts";
import { paintToml } from "./paint.ts";
import { choicesAt, type FeedSchema, meaningAt } from "./schema.ts";
import { linesOfRule, namesOf, placeAt } from "./toml.ts";

const TEXT = `name = "pumps"

[fields.bar]
path = "$.bar"
uni

[[rules]]
check = "range"
options = { field = "bar", ma }

[[rules]]
check = "late"
`;
const SCHEMA: FeedSchema = {
  $ref: "#/$defs/Feed",
  $defs: {
    Feed: {
      type: "object",
      properties: {
        name: { type: "string", description: "The feed's name." },
        fields: { type: "object", additionalProperties: { $ref: "#/$defs/Field" }, description: "The measured values." },
        time: { $ref: "#/$defs/Time", description: "When." },
        rules: { type: "array", items: { $ref: "#/$defs/Rule" }, description: "Named checks." },
      },
    },
    Time: { type: "object", properties: { path: { type: "string" } } },
    Field: { type: "object", properties: { path: { type: "string" }, unit: { anyOf: [{ type: "string" }, { type: "null" }], default: null, description: "The unit." }, required: { type: "boolean" } } },
    Rule: { type: "object", properties: { check: { type: "string", enum: ["late", "range"] }, action: { enum: ["flag", "reject"], default: "reject" }, options: { type: "object" } } },
    "check:range": { type: "object", description: "Below or above.", properties: { field: { type: "string" }, max: { type: "number", description: "the greatest value" } } },
  },
};

const at = (mark: string, text = TEXT) => placeAt(text, text.indexOf(mark) + mark.length);
const words = (mark: string) => choicesAt(SCHEMA, at(mark), TEXT).map((one) => one.word);

describe("where a cursor is", () => {
  test("at a key of a table, in a table in braces, at a value, at a header", () => {
    expect(at("uni")).toMatchObject({ table: ["fields", "bar"], part: "key", word: "uni", rule: 0 });
    expect(at(", ma")).toMatchObject({ table: ["rules", "options"], part: "key", word: "ma", rule: 1 });
    expect(at('check = "la')).toMatchObject({ table: ["rules"], key: "check", part: "value", word: '"la', rule: 2 });
    expect(at("[fields.b")).toMatchObject({ part: "header", word: "fields.b" });
  });

  test("rules have lines, fields have names", () => {
    expect(linesOfRule(TEXT, 1)).toEqual([7, 9]);
    expect(linesOfRule(TEXT, 2)).toEqual([11, 12]);
    expect(linesOfRule(TEXT, 3)).toBeNull();
    expect(namesOf(TEXT, "fields")).toEqual(["bar"]);
  });
});

describe("what may stand there", () => {
  test("keys that are not given yet, options of the rule's check, words, fields", () => {
    expect(words("uni")).toEqual(["unit", "required"]);
    expect(words(", ma")).toEqual(["max"]);
    expect(words('check = "la')).toEqual(["late", "range"]);
    expect(words('field = "b')).toEqual(["bar"]);
    expect(choicesAt(SCHEMA, placeAt("[", 1), "[").map((one) => one.write)).toEqual(["fields.", "time]", "[rules]]"]);
  });

  test("what a key, an option and a check mean", () => {
    expect(meaningAt(SCHEMA, at(", ma"), TEXT)).toBeNull();
    expect(meaningAt(SCHEMA, placeAt("max = 1", 1), "max = 1")).toBeNull();
    const text = TEXT.replace(", ma ", ", max = 3 ");
    expect(meaningAt(SCHEMA, at(", ma", text), text)?.text).toBeUndefined();
    expect(meaningAt(SCHEMA, at(", max", text), text)).toMatchObject({ title: "max", text: "the greatest value" });
    expect(meaningAt(SCHEMA, at('check = "ran'), TEXT)).toMatchObject({ title: "range", text: "Below or above." });
  });
});

test("colours: tables, strings with hashes in them, comments, numbers", () => {
  const text = `[a]\nb = "x # y" # z\nc = [1, -2.5]`;
  expect(paintToml(text).map(({ kind, from, to }) => [kind, text.slice(from, to)])).toEqual([
    ["table", "[a]"],
    ["string", '"x # y"'],
    ["comment", "# z"],
    ["word", "1"],
    ["word", "-2.5"],
  ]);
});

describe("two texts beside each other", () => {
  test("lines that are the same are paired, others stand on their side", () => {
    const pairs = pairLines("a\nb\nc\nd\n", "a\nx\nc\nd\ne\n");
    expect(pairs.map(({ kind, left, right }) => `${kind} ${left?.text ?? ""} ${right?.text ?? ""}`)).toEqual(["same a a", "changed b x", "same c c", "same d d", "right  e"]);
    expect(pairs.at(-1)?.right?.n).toBe(5);
  });

  test("both texts come out again, whatever they are", () => {
    const texts = ["", "a", "a\nb\nc", "c\nb\na", "a\na\nb\na", "x\na\nb\nc\ny"];
    for (const left of texts) {
      for (const right of texts) {
        const pairs = pairLines(left, right);
        const side = (which: "left" | "right") => pairs.flatMap((pair) => (pair[which] ? [pair[which].text] : [])).join("\n");
        expect([side("left"), side("right")]).toEqual([left, right]);
      }
    }
  });

  test("what is the same far away is left out", () => {
    const long = Array.from({ length: 40 }, (_, n) => `line ${n}`);
    const shown = folded(pairLines(long.join("\n"), long.with(20, "else").join("\n")), 2);
    expect(shown.map((pair) => pair?.left?.n ?? null)).toEqual([null, 19, 20, 21, 22, 23, null]);
  });
});

describe("bytes of a sample", () => {
  test("as text: offsets of UTF-8 are those of the editor", () => {
    const text = 'x é€😀y\n{"a": 1}';
    const bytes = new TextEncoder().encode(text);
    const start = new TextEncoder().encode('x é€😀y\n').length;
    expect(textSpans(text, [{ start, end: bytes.length }, { start: 0, end: 1 }])).toEqual([{ start: text.indexOf("{"), end: text.length }, { start: 0, end: 1 }]);
    expect(textOf(bytes)).toBe(text);
  });

  test("as rows where they are no text", () => {
    const bytes = Uint8Array.from({ length: 40 }, (_, n) => 255 - n);
    expect(textOf(bytes)).toBeNull();
    const rows = hexRows(bytes);
    const [first, second] = hexSpans([{ start: 14, end: 18 }]);
    expect([first, second].map((one) => rows.slice(one?.start, one?.end))).toEqual(["f1 f0", "ef ee"]);
  });
});
