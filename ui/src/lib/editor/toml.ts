/**
 * Where a cursor is in a definition: in which table, at which key or value, in which rule. Reads line by line, so that
 * it also knows in a text that is no TOML yet, as one that is being typed seldom is.
 */

export interface Place {
  /** The table, `["fields", "bar"]`; a table in braces on the line is part of it: `["rules", "options"]`. */
  table: readonly string[];
  /** The key at the cursor, or whose value the cursor is in; "" where none has begun. */
  key: string;
  part: "header" | "key" | "value";
  /** What stands between the begin of the word and the cursor, and where that begin is in the text. */
  word: string;
  from: number;
  /** The rule, from 1 as verdicts count them; 0 outside of rules. */
  rule: number;
  /** The keys of the table that are given, and the text of each value on its line. */
  given: ReadonlyMap<string, string>;
}

const HEADER = /^\s*(\[\[?)\s*([^\]]*)/;
const PAIR = /^\s*(?:"([^"]*)"|'([^']*)'|([\w.-]+))\s*=\s*(.*)$/;

/** `a."b.c".d` as its parts. */
export function keyParts(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|'([^']*)'|([^.\s"']+)/g)].map((one) => one[1] ?? one[2] ?? one[3] ?? "");
}

export function placeAt(text: string, position: number): Place {
  const begin = text.lastIndexOf("\n", position - 1) + 1;
  const before = text.slice(0, begin).split("\n");
  const end = text.indexOf("\n", position);
  const line = text.slice(begin, end < 0 ? text.length : end);
  const typed = line.slice(0, position - begin);
  let table: string[] = [];
  let rule = 0;
  let isRule = false;
  let start = 0;
  const enter = (header: RegExpExecArray, after: number) => {
    table = keyParts(header[2] ?? "");
    isRule = table[0] === "rules";
    if (header[1] === "[[" && isRule && table.length === 1) rule += 1;
    start = after;
  };
  for (const [n, one] of before.entries()) {
    const header = HEADER.exec(one);
    if (header && !PAIR.test(one)) enter(header, n + 1);
  }
  const here = HEADER.exec(line);
  if (here && !PAIR.test(line)) {
    enter(here, before.length);
    const word = /[^[\s]*$/.exec(typed)?.[0] ?? "";
    return { table, key: "", part: "header", word, from: position - word.length, rule: isRule ? rule : 0, given: new Map() };
  }
  const given = givenIn([...before.slice(start), ...text.slice(begin).split("\n")]);
  const place = { table, rule: isRule ? rule : 0, given };
  const pair = PAIR.exec(typed);
  if (!pair) {
    const word = /[\w."'-]*$/.exec(typed)?.[0] ?? "";
    return { ...place, key: PAIR.exec(line)?.slice(1, 4).find((one) => one) ?? word, part: "key", word, from: position - word.length };
  }
  const key = pair[1] ?? pair[2] ?? pair[3] ?? "";
  return inValue({ ...place, key }, pair[4] ?? "", position);
}

/** The keys of a table up to the next header, with the text of their values. */
function givenIn(lines: readonly string[]): Map<string, string> {
  const given = new Map<string, string>();
  for (const line of lines) {
    const pair = PAIR.exec(line);
    if (pair) given.set(pair[1] ?? pair[2] ?? pair[3] ?? "", pair[4] ?? "");
    else if (HEADER.test(line)) break;
  }
  return given;
}

type Begun = Pick<Place, "table" | "rule" | "given" | "key">;

/** A cursor behind `key = `: at a value, or at a key or value of a table in braces. */
function inValue(begun: Begun, typed: string, position: number): Place {
  const open = typed.lastIndexOf("{");
  const inside = open >= 0 && !typed.slice(open).includes("}");
  const given = inside ? new Map([...typed.slice(open + 1).matchAll(/([\w-]+)\s*=\s*([^,}]*)/g)].map((one) => [one[1] ?? "", one[2] ?? ""])) : begun.given;
  const table = inside ? [...begun.table, begun.key] : begun.table;
  const last = inside ? (/(?:^|,)([^,]*)$/.exec(typed.slice(open + 1))?.[1] ?? "") : typed;
  const inner = inside ? /^\s*([\w-]+)\s*=\s*(.*)$/.exec(last) : null;
  if (inside && !inner) {
    const word = /[\w-]*$/.exec(last)?.[0] ?? "";
    return { table, rule: begun.rule, given, key: word, part: "key", word, from: position - word.length };
  }
  const value = inner ? (inner[2] ?? "") : typed;
  const word = /"?[^\s",[\]{}]*$/.exec(value)?.[0] ?? "";
  return { table, rule: begun.rule, given, key: inner ? (inner[1] ?? "") : begun.key, part: "value", word, from: position - word.length };
}

/** The value of a text in quotes; "" where it is none. */
export function unquoted(text: string | undefined): string {
  return /^\s*["']([^"']*)["']/.exec(text ?? "")?.[1] ?? "";
}

/** The names under `[fields.NAME]`, `[tags.NAME]`. */
export function namesOf(text: string, kind: "fields" | "tags"): string[] {
  const names = [...text.matchAll(/^\s*\[\s*([^\][]+)\]/gm)].map((one) => keyParts(one[1] ?? ""));
  return [...new Set(names.filter((parts) => parts[0] === kind && parts.length > 1).map((parts) => parts[1] ?? ""))];
}

/** Lines [first, last], from 1, of a rule; null where there is no such rule. */
export function linesOfRule(text: string, rule: number): [number, number] | null {
  const lines = text.split("\n");
  const begins = lines.flatMap((line, n) => (/^\s*\[\[\s*rules\s*\]\]/.test(line) ? [n] : []));
  const first = begins[rule - 1];
  if (first === undefined) return null;
  let last = first;
  for (let n = first + 1; n < lines.length; n += 1) {
    const line = lines[n] ?? "";
    if (/^\s*\[\[/.test(line) || (/^\s*\[/.test(line) && !/^\s*\[\s*rules\./.test(line))) break;
    if (line.trim() !== "" && !/^\s*#/.test(line)) last = n;
  }
  return [first + 1, last + 1];
}
