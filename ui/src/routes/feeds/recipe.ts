/** A first definition of a new feed: from one that is there, or from a sample of what will come. */

const TIME = /^(t|ts|time|timestamp|time_?stamp|date_?time|at|when|measured_?at|observed_?at|created_?at|date)$/i;
const ISO = /^\d{4}-?\d{2}-?\d{2}([T ]\d{2}(:?\d{2})?.*)?$/;
const NAME = /^[a-z][a-z0-9_]*$/;
const UNITS: readonly [number, string][] = [
  [1e17, "unix_ns"],
  [1e14, "unix_us"],
  [1e11, "unix_ms"],
  [1e8, "unix_s"],
];

type Json = Record<string, unknown>;

/** The text of a definition under another name. */
export function renamed(text: string, name: string): string {
  const line = `name = ${JSON.stringify(name)}`;
  return /^name\s*=.*$/m.test(text) ? text.replace(/^name\s*=.*$/m, line) : `${line}\n${text}`;
}

export function emptyFeed(name: string): string {
  return `name = ${JSON.stringify(name)}\n\n[time]\npath = "$.time"\n\n[fields.value]\npath = "$.value"\n`;
}

/** A definition for JSON or NDJSON that looks like a sample; null where it is neither. Every guess stands in the text,
 *  where its writer can mend it. */
export function drafted(name: string, sample: string): string | null {
  const document = parsed(sample);
  if (document === undefined) return null;
  const at = recordsAt(document, "$", 0);
  if (!at) return null;
  const leaves = leavesOf(at.record, "$", 0);
  const time = leaves.find(({ key, value }) => TIME.test(key) && timeFormat(value) !== null) ?? leaves.find(({ value }) => typeof value === "string" && timeFormat(value) !== null);
  const parts = [`name = ${JSON.stringify(name)}`];
  if (at.path !== "$") parts.push(`[input]\nrecords = ${JSON.stringify(at.path)}`);
  if (time) parts.push(timeTable(time));
  else parts.push(`[time]\nformat = "received" # no member of the sample is a time: the time of receipt counts`);
  const taken = new Set<string>();
  for (const leaf of leaves) {
    if (leaf === time) continue;
    const kind = typeof leaf.value === "number" ? "fields" : typeof leaf.value === "string" ? "tags" : "";
    if (kind) parts.push(`[${kind}.${fresh(leaf.key, taken)}]\npath = ${JSON.stringify(leaf.path)}`);
  }
  return `${parts.join("\n\n")}\n`;
}

function parsed(sample: string): unknown {
  const text = sample.trim();
  for (const one of [text, text.split("\n")[0] ?? ""]) {
    try {
      return JSON.parse(one) as unknown;
    } catch {
      // Perhaps a record on each line.
    }
  }
  return undefined;
}

const isTable = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value);

/** Where the records are: a list of tables, at the top or within; else the document itself is one. */
function recordsAt(value: unknown, path: string, depth: number): { path: string; record: Json } | null {
  if (Array.isArray(value)) return isTable(value[0]) ? { path, record: value[0] } : null;
  if (!isTable(value)) return null;
  if (depth < 3) {
    for (const [key, member] of Object.entries(value)) {
      if (Array.isArray(member) && isTable(member[0])) return { path: `${path}${step(key)}`, record: member[0] };
    }
  }
  return { path, record: value };
}

interface Leaf {
  key: string;
  path: string;
  value: unknown;
}

function leavesOf(record: Json, path: string, depth: number): Leaf[] {
  return Object.entries(record).flatMap(([key, value]) => {
    const at = `${path}${step(key)}`;
    if (isTable(value)) return depth < 3 ? leavesOf(value, at, depth + 1) : [];
    return [{ key, path: at, value }];
  });
}

function step(key: string): string {
  return /^[A-Za-z_][\w-]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

function timeFormat(value: unknown): string | null {
  if (typeof value === "number") return UNITS.find(([least]) => value >= least)?.[1] ?? null;
  return typeof value === "string" && ISO.test(value) ? "iso8601" : null;
}

function timeTable({ path, value }: Leaf): string {
  const format = timeFormat(value);
  const lines = [`[time]`, `path = ${JSON.stringify(path)}`];
  if (format !== "iso8601") lines.push(`format = "${format}"`);
  else if (!/(Z|[+-]\d{2}:?\d{2})$/.test(String(value))) lines.push(`offset = "optional"`, `zone = "UTC" # the sample's times have no offset: name their zone`);
  return lines.join("\n");
}

function fresh(key: string, taken: Set<string>): string {
  let name = key.replace(/([a-z])([A-Z])/g, "$1_$2").toLowerCase().replace(/[^a-z0-9_]+/g, "_");
  if (!NAME.test(name)) name = `f_${name}`;
  for (let n = 2; taken.has(name); n += 1) name = `${name.replace(/_\d+$/, "")}_${n}`;
  taken.add(name);
  return name;
}
