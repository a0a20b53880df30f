/**
 * The API, typed from its own description: `await ask(api.GET("/v1/feeds"))` is the answer's data or throws a
 * `Problem`. Unsafe methods carry the session's CSRF header; a 401 leads to the sign-in page, which returns here.
 */
import type { Client } from "openapi-fetch";
import type { paths } from "./api";
import { problemOf, unreachable } from "./problem";

const SAFE = new Set(["GET", "HEAD", "OPTIONS"]);

/** What the shell sets: the CSRF token of the session, how often its user changed, and what to do when the server wants a key. */
export const access = {
  csrf: "",
  changes: 0,
  signIn: (): void => {},
};

/** `fetch` as all of the page uses it: same origin, CSRF header, problems thrown. */
export async function send(input: Request | string, init?: RequestInit): Promise<Response> {
  const request = new Request(input, init);
  if (!SAFE.has(request.method) && access.csrf) request.headers.set("X-Tidemill-CSRF", access.csrf);
  const asked = `${request.method} ${request.url}`;
  const before = access.changes;
  let response: Response;
  try {
    response = await fetch(request);
  } catch (error) {
    if (request.signal.aborted) throw error;
    throw unreachable(asked);
  }
  if (response.ok || response.status === 304) return response;
  const problem = await problemOf(response, asked);
  // A request from before a sign-in says nothing of the session that began since.
  if (problem.status === 401 && before === access.changes && !request.url.endsWith("/v1/session")) access.signIn();
  throw problem;
}

type Method = "GET" | "PUT" | "POST" | "DELETE";

interface Asked extends Omit<RequestInit, "body" | "headers"> {
  params?: { path?: Record<string, unknown>; query?: Record<string, unknown>; header?: Record<string, string> };
  headers?: Record<string, string>;
  /** Sent as JSON. */
  body?: unknown;
}

/** What `take` makes of the body of an answer. A connection that is lost while the body comes is no answer either. */
export async function whole<T>(path: string, init: RequestInit, take: (answer: Response) => Promise<T>): Promise<T> {
  const answer = await send(path, init);
  try {
    return await take(answer);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw unreachable(`${init.method ?? "GET"} ${answer.url}`);
  }
}

/** The JSON of an answer; undefined where it has no body. */
export function json<T>(path: string, init: RequestInit = {}): Promise<T> {
  return whole(path, init, async (answer) => {
    const text = await answer.text();
    return (text ? JSON.parse(text) : undefined) as T;
  });
}

/** Fill the path, the query and the headers of an operation, send it, and read its JSON. */
async function call(method: Method, operation: string, { params = {}, body, headers, ...rest }: Asked = {}): Promise<{ data: unknown }> {
  const path = operation.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(params.path?.[name])));
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(params.query ?? {})) {
    for (const one of [value].flat()) if (one !== undefined && one !== null) search.append(key, String(one));
  }
  const init: RequestInit = { ...rest, method, headers: { ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...params.header, ...headers } };
  if (body !== undefined) init.body = JSON.stringify(body);
  return { data: await json(search.size ? `${path}?${search}` : path, init) };
}

const asking = (method: Method) => (operation: string, asked?: Asked) => call(method, operation, asked);

/** Typed as openapi-fetch types it; of what that does, the page needs the few lines above. */
export const api = { GET: asking("GET"), PUT: asking("PUT"), POST: asking("POST"), DELETE: asking("DELETE") } as unknown as Pick<Client<paths>, Method>;

/** The data of an answer; `send` has thrown when there is none. */
export async function ask<T>(answer: Promise<{ data?: T }>): Promise<Json<T>> {
  return (await answer).data as Json<T>;
}

/** Of an answer that has several formats, the JSON one: the others are typed as texts. */
type Json<T> = Exclude<T, string>;
