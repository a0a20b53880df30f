/**
 * What a route's query holds, typed. A schema names the keys; `parseQuery` reads them, `formatQuery` writes them.
 *
 * Defaults are left out of a URL, unknown keys stay as they are, and a bad value is named (`bad`) and replaced by the
 * default, never swallowed. A key that ends with `.*` is a family: `tag.*` collects `tag.pump=p1&tag.pump=p2` as
 * `{ pump: ["p1", "p2"] }`.
 */

/** Reads and writes the values of one key. `parse` gets all texts of that key, at least one, and throws `BadValue`. */
export interface Field<T> {
  readonly fallback: T;
  parse(texts: readonly string[]): T;
  format(value: T): readonly string[];
}

export type Schema = Record<string, Field<unknown>>;
export type Values<S extends Schema> = { -readonly [K in keyof S]: S[K] extends Field<infer T> ? T : never };

/** A value that could not be read: where it stands, what it was, and what would do. */
export interface Bad {
  key: string;
  text: string;
  hint: string;
}

export interface Parsed<S extends Schema> {
  values: Values<S>;
  bad: Bad[];
  /** Keys that this route does not know, in their order. */
  rest: [string, string][];
}

export class BadValue extends Error {}

export function parseQuery<S extends Schema>(schema: S, search: string): Parsed<S> {
  const byKey = new Map<string, string[]>();
  const families = Object.keys(schema).filter((key) => key.endsWith(".*"));
  const collected = new Map<string, Record<string, string[]>>();
  const rest: [string, string][] = [];
  for (const [key, text] of new URLSearchParams(search)) {
    const family = families.find((name) => key.startsWith(name.slice(0, -1)) && key.length > name.length - 1);
    if (family) {
      const members = collected.get(family) ?? {};
      (members[key.slice(family.length - 1)] ??= []).push(text);
      collected.set(family, members);
    } else if (Object.hasOwn(schema, key)) {
      byKey.set(key, [...(byKey.get(key) ?? []), text]);
    } else {
      rest.push([key, text]);
    }
  }
  const bad: Bad[] = [];
  const values: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(schema)) {
    values[key] = field.fallback;
    if (collected.has(key)) values[key] = collected.get(key);
    const texts = byKey.get(key);
    if (!texts) continue;
    try {
      values[key] = field.parse(texts);
    } catch (error) {
      if (!(error instanceof BadValue)) throw error;
      bad.push({ key, text: texts.join(", "), hint: error.message });
    }
  }
  return { values: values as Values<S>, bad, rest };
}

/** The query with its `?`, or nothing when all values are defaults. */
export function formatQuery<S extends Schema>(
  schema: S,
  values: Partial<Values<S>>,
  rest: readonly [string, string][] = [],
): string {
  const search = new URLSearchParams();
  for (const [key, field] of Object.entries(schema)) {
    const value = (values as Record<string, unknown>)[key] ?? field.fallback;
    if (key.endsWith(".*")) {
      for (const [name, texts] of Object.entries(value as Record<string, string[]>)) {
        for (const text of texts) search.append(key.slice(0, -1) + name, text);
      }
      continue;
    }
    const texts = field.format(value);
    if (same(texts, field.format(field.fallback))) continue;
    for (const text of texts) search.append(key, text);
  }
  for (const [key, text] of rest) search.append(key, text);
  // Colons, commas and slashes are legal in a query: a link that is read by people keeps them.
  const text = search.toString().replaceAll("%3A", ":").replaceAll("%2C", ",").replaceAll("%2F", "/");
  return text ? `?${text}` : "";
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, n) => text === b[n]);
}

const last = (texts: readonly string[]): string => texts[texts.length - 1] ?? "";

/** Any text; none is "". */
export function text(fallback = ""): Field<string> {
  return { fallback, parse: last, format: (value) => (value === "" ? [] : [value]) };
}

/** A key that may stand several times, in its order. */
export function texts(): Field<readonly string[]> {
  return { fallback: [], parse: (all) => all.filter((one) => one !== ""), format: (value) => value };
}

/** One of a few words. */
export function oneOf<const W extends string>(words: readonly W[], fallback: W): Field<W> {
  return {
    fallback,
    parse(all) {
      const word = words.find((one) => one === last(all));
      if (word === undefined) throw new BadValue(`one of ${words.join(", ")}`);
      return word;
    },
    format: (value) => [value],
  };
}

/** Several of a few words, written as one value with commas. An argument (`rolling:1h`) may follow a word. */
export function someOf(words: readonly string[], fallback: readonly string[] = []): Field<readonly string[]> {
  return {
    fallback,
    parse(all) {
      const chosen = all.flatMap((one) => one.split(",")).filter((one) => one !== "");
      const wrong = chosen.find((one) => !words.includes(one.split(":")[0] ?? ""));
      if (wrong !== undefined) throw new BadValue(`some of ${words.join(", ")}`);
      return chosen;
    },
    format: (value) => (value.length === 0 && fallback.length > 0 ? [""] : value.length === 0 ? [] : [value.join(",")]),
  };
}

/** A whole number from `least` on; null when absent. */
export function whole(least = 0): Field<number | null> {
  return {
    fallback: null,
    parse(all) {
      const number = Number(last(all));
      if (!Number.isSafeInteger(number) || number < least) throw new BadValue(`a whole number, ${least} or more`);
      return number;
    },
    format: (value) => (value === null ? [] : [String(value)]),
  };
}

const RELATIVE = /^-\d+(s|m|h|d|w)$/;
const RFC3339 = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2}))?$/;

/** An instant as it stands in a URL: RFC 3339 (nanoseconds are kept, as text), `now`, or `-24h`. "" when absent. */
export function moment(fallback = ""): Field<string> {
  return {
    fallback,
    parse(all) {
      // A "+" of an offset that was not escaped reads as a space.
      const value = last(all).replace(/ (?=\d{2}:\d{2}$)/, "+");
      if (value === "now" || RELATIVE.test(value)) return value;
      if (RFC3339.test(value) && !Number.isNaN(Date.parse(value))) return value;
      throw new BadValue("an instant such as 2026-11-29T14:42:10+01:00, -24h or now");
    },
    format: (value) => (value === "" ? [] : [value]),
  };
}

/** An IANA time zone; "" stands for the browser's. */
export function zone(): Field<string> {
  return {
    fallback: "",
    parse(all) {
      try {
        return new Intl.DateTimeFormat("en", { timeZone: last(all) }).resolvedOptions().timeZone && last(all);
      } catch {
        throw new BadValue("a time zone such as Europe/Zurich");
      }
    },
    format: (value) => (value === "" ? [] : [value]),
  };
}

/** A family of keys, for a key that ends with `.*`. */
export function family(): Field<Readonly<Record<string, readonly string[]>>> {
  return { fallback: {}, parse: () => ({}), format: () => [] };
}
