/** From a URL to a route and its typed query, and back. Knows nothing of the browser: tested as it is. */
import { ROUTES, type RouteName } from "../../routes/table";
import { type Bad, formatQuery, parseQuery, type Schema, type Values } from "./query";

export type QueryOf<N extends RouteName> = Values<(typeof ROUTES)[N]["query"]>;
export type Params = Readonly<Record<string, string>>;

/** Where the page is: `query` is that of `name` (narrow by `name`). `name` is null where no route answers. */
export type Here = {
  [N in RouteName]: {
    name: N;
    params: Params;
    query: QueryOf<N>;
    bad: Bad[];
    rest: [string, string][];
    url: string;
  };
}[RouteName];

export interface Nowhere {
  name: null;
  url: string;
}

/** The route of a URL (path and query), or nowhere. A slash at the end of a path is not told apart. */
export function match(url: string): Here | Nowhere {
  const [path = "/", search = ""] = splitOnce(url.split("#")[0] ?? "", "?");
  const asked = segments(path);
  for (const [name, { path: pattern, query }] of Object.entries(ROUTES)) {
    const params = matchPath(segments(pattern), asked);
    if (!params) continue;
    const { values, bad, rest } = parseQuery(query as Schema, search);
    return { name, params, url, query: values, bad, rest } as unknown as Here;
  }
  return { name: null, url };
}

/** The URL of a route. Values that are defaults are left out. */
export function href<N extends RouteName>(
  name: N,
  query: Partial<QueryOf<N>> = {},
  params: Params = {},
  rest: readonly [string, string][] = [],
): string {
  const { path, query: schema } = ROUTES[name];
  const written = segments(path).flatMap((segment) => {
    if (!segment.startsWith(":")) return [segment];
    const value = params[segment.replace(/[:?]/g, "")];
    return value ? [encodeURIComponent(value)] : [];
  });
  return `/${written.join("/")}${formatQuery(schema, query as Partial<Values<typeof schema>>, rest)}`;
}

function segments(path: string): string[] {
  return path.split("/").filter((segment) => segment !== "");
}

function splitOnce(whole: string, mark: string): [string, string] {
  const at = whole.indexOf(mark);
  return at < 0 ? [whole, ""] : [whole.slice(0, at), whole.slice(at + 1)];
}

function matchPath(pattern: string[], asked: string[]): Params | null {
  const least = pattern.filter((segment) => !segment.endsWith("?")).length;
  if (asked.length > pattern.length || asked.length < least) return null;
  const params: Record<string, string> = {};
  for (const [n, segment] of pattern.entries()) {
    const text = asked[n];
    if (text === undefined) continue;
    if (segment.startsWith(":")) params[segment.replace(/[:?]/g, "")] = decoded(text);
    else if (segment !== text) return null;
  }
  return params;
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
