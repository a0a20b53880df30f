/** What the schema of definitions (`GET /v1/feeds/schema`) says about a place in one: words to choose, and meanings. */
import { keyParts, namesOf, type Place, unquoted } from "./toml.ts";

export interface Node {
  $ref?: string;
  type?: string | string[];
  title?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  const?: unknown;
  examples?: unknown[];
  properties?: Record<string, Node>;
  additionalProperties?: Node | boolean;
  items?: Node;
  anyOf?: Node[];
  oneOf?: Node[];
  required?: string[];
}

export interface FeedSchema extends Node {
  $defs: Record<string, Node>;
}

export interface Choice {
  word: string;
  /** What is written in its place. */
  write: string;
  /** Softly behind the word. */
  detail: string;
  meaning: string;
}

const CHECK = "check:";

/** The table or value that a node is about: references and "or null" are followed. */
function settled(schema: FeedSchema, node: Node | undefined): Node | undefined {
  let here = node;
  for (let n = 0; here && n < 8; n += 1) {
    if (here.$ref) {
      here = schema.$defs[here.$ref.replace("#/$defs/", "")];
      continue;
    }
    const one: Node | undefined = (here.anyOf ?? here.oneOf)?.find((some) => some.type !== "null");
    if (!one || here.properties) return here;
    here = { ...one, description: here.description || one.description || "", default: here.default };
  }
  return here;
}

/** The schema of a table; options of a rule are those of its check. */
function tableOf(schema: FeedSchema, path: readonly string[], check: string): Node | undefined {
  let here = settled(schema, { $ref: "#/$defs/Feed" });
  for (const name of path) {
    if (path[0] === "rules" && name === "options") return schema.$defs[CHECK + check];
    const member: Node | undefined = here?.properties?.[name];
    const among = here?.additionalProperties;
    here = settled(schema, member ?? (typeof among === "object" ? among : undefined));
    if (here?.items) here = settled(schema, here.items);
  }
  return here;
}

/** The check of the rule around a place: named in the table, or above the braces that the place is in. */
function checkAt(place: Place, text: string): string {
  const own = unquoted(place.given.get("check"));
  if (own || place.rule === 0) return own;
  const block = text.split(/^\s*\[\[\s*rules\s*\]\]/m)[place.rule] ?? "";
  return unquoted(/^\s*check\s*=\s*(.*)$/m.exec(block)?.[1]);
}

const isTable = (node: Node | undefined): boolean => node?.type === "object" || node?.properties !== undefined;

function shown(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function detailOf(member: Node, required: boolean): string {
  if (required) return "required";
  const text = shown(member.default);
  return text && text.length < 24 && text !== "{}" ? text : "";
}

/** What may stand at a place. */
export function choicesAt(schema: FeedSchema, place: Place, text: string): Choice[] {
  if (place.part === "header") return headers(schema, text);
  const table = tableOf(schema, place.table, checkAt(place, text));
  if (place.part === "value") return values(schema, table, place, text);
  return Object.entries(table?.properties ?? {}).flatMap(([word, node]) => {
    if (place.given.has(word) && word !== place.word) return [];
    const member = settled(schema, node);
    if (!member || (place.table.length === 0 && isTable(member)) || member.items?.$ref) return [];
    const meaning = node.description || member.description || "";
    return [{ word, write: isTable(member) ? `${word} = { ` : `${word} = `, detail: detailOf(node, table?.required?.includes(word) ?? false), meaning }];
  });
}

function headers(schema: FeedSchema, text: string): Choice[] {
  const feed = settled(schema, { $ref: "#/$defs/Feed" });
  const there = new Set([...text.matchAll(/^\s*\[\s*([^\][]+)\]/gm)].map((one) => keyParts(one[1] ?? "").join(".")));
  return Object.entries(feed?.properties ?? {}).flatMap(([name, node]) => {
    const member = settled(schema, node);
    const meaning = node.description || "";
    if (member?.items?.$ref) return [{ word: `${name}`, write: `[${name}]]`, detail: "one more", meaning }];
    if (typeof member?.additionalProperties === "object") return [{ word: `${name}.`, write: `${name}.`, detail: "and a name", meaning }];
    if (!isTable(member) || there.has(name)) return [];
    return [{ word: name, write: `${name}]`, detail: "", meaning }];
  });
}

function values(schema: FeedSchema, table: Node | undefined, place: Place, text: string): Choice[] {
  const node = table?.properties?.[place.key];
  const member = settled(schema, node);
  const words = (member?.items ? settled(schema, member.items) : member)?.enum ?? [];
  const made = (value: unknown, detail = "", meaning = ""): Choice => {
    const write = typeof value === "string" ? `"${value}"` : shown(value);
    return { word: shown(value), write, detail, meaning };
  };
  if (place.rule > 0 && place.key === "check") return words.map((word) => made(word, "", schema.$defs[CHECK + String(word)]?.description ?? ""));
  if (place.table.includes("options") && place.key === "field") return namesOf(text, "fields").map((name) => made(name));
  if (member?.type === "boolean") return [true, false].map((word) => made(word));
  return words.filter((word) => word !== null).map((word) => made(word, word === node?.default ? "default" : ""));
}

export interface Meaning {
  title: string;
  text: string;
  /** Facts in a few words: the default, the words that it takes. */
  facts: string[];
}

/** What the key, table or check at a place means; null where nothing is known about it. */
export function meaningAt(schema: FeedSchema, place: Place, text: string): Meaning | null {
  if (place.part === "header") {
    const table = tableOf(schema, place.table, "");
    const top = schema.$defs.Feed?.properties?.[place.table[0] ?? ""]?.description ?? "";
    const said = table?.description ?? "";
    const short = said.length > 0 && said.length < 400 ? said : top;
    return short ? { title: place.table.join("."), text: short, facts: [] } : null;
  }
  const check = checkAt(place, text);
  if (place.part === "value" && place.key === "check" && place.rule > 0) {
    const described = schema.$defs[CHECK + check];
    return described ? { title: check, text: described.description ?? "", facts: Object.keys(described.properties ?? {}).map((name) => `option ${name}`) } : null;
  }
  const node = tableOf(schema, place.table, check)?.properties?.[place.key];
  if (!node) return null;
  const member = settled(schema, node);
  const facts: string[] = [];
  const usual = shown(node.default);
  if (usual && usual.length < 60 && usual !== "{}") facts.push(`default ${usual}`);
  const words = (member?.enum ?? []).filter((word) => word !== null);
  if (words.length > 0 && words.length < 12) facts.push(`one of ${words.map(shown).join(", ")}`);
  const said = node.description || member?.description || "";
  return said ? { title: place.key, text: said, facts } : null;
}
