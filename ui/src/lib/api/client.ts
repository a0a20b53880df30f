/**
 * The API, typed from its own description: `await ask(api.GET("/v1/feeds"))` is the answer's data or throws a
 * `Problem`. Unsafe methods carry the session's CSRF header; a 401 leads to the sign-in page, which returns here.
 */
import createClient from "openapi-fetch";
import type { paths } from "./api";
import { Problem, type ProblemDocument, problemOf, unreachable } from "./problem";

const SAFE = new Set(["GET", "HEAD", "OPTIONS"]);

/** What the shell sets: the CSRF token of the session, and what to do when the server wants a key. */
export const access = {
  csrf: "",
  signIn: (): void => {},
};

/** `fetch` as all of the page uses it: same origin, CSRF header, problems thrown. */
export async function send(input: Request | string, init?: RequestInit): Promise<Response> {
  const request = new Request(input, init);
  if (!SAFE.has(request.method) && access.csrf) request.headers.set("X-Tidemill-CSRF", access.csrf);
  const asked = `${request.method} ${request.url}`;
  let response: Response;
  try {
    response = await fetch(request);
  } catch (error) {
    if (request.signal.aborted) throw error;
    throw unreachable(asked);
  }
  if (response.ok || response.status === 304) return response;
  const problem = await problemOf(response, asked);
  if (problem.status === 401 && !request.url.endsWith("/v1/session")) access.signIn();
  throw problem;
}

export const api = createClient<paths>({ baseUrl: location.origin, fetch: (request: Request) => send(request) });

/** The data of an answer; `send` has thrown when there is none. */
export async function ask<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<Json<T>> {
  const { data, error, response } = await answer;
  if (error !== undefined) throw new Problem(error as ProblemDocument, response.status, response.url);
  return data as Json<T>;
}

/** Of an answer that has several formats, the JSON one: the others are typed as texts. */
type Json<T> = Exclude<T, string>;
