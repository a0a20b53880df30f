/** Problem documents of the API (RFC 9457) as errors that a page can show word for word. */

export interface Fault {
  path?: string;
  code?: string;
  message?: string;
}

export interface ProblemDocument {
  type?: string;
  title?: string;
  status?: number;
  detail?: string;
  code?: string;
  errors?: Fault[];
  [member: string]: unknown;
}

export class Problem extends Error {
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  readonly code: string;
  readonly errors: readonly Fault[];
  readonly document: ProblemDocument;
  /** The method and URL that were asked. */
  readonly request: string;
  /** Seconds after which the same request may succeed; null when the answer does not say. */
  readonly retryAfter: number | null;
  /** When the page asks again by itself (ms); null: it does not. */
  again: number | null = null;

  constructor(document: ProblemDocument, status: number, request: string, retryAfter: number | null = null) {
    super(document.detail || document.title || `The server answered ${status}.`);
    this.name = "Problem";
    this.document = document;
    this.status = status;
    this.title = document.title ?? `The server answered ${status}`;
    this.detail = document.detail ?? "";
    this.code = document.code ?? "";
    this.errors = document.errors ?? [];
    this.request = request;
    this.retryAfter = retryAfter;
  }
}

/** The problem of an answer that is none of 2xx. */
export async function problemOf(response: Response, request: string): Promise<Problem> {
  const retry = Number(response.headers.get("Retry-After"));
  let document: ProblemDocument = {};
  try {
    document = (await response.json()) as ProblemDocument;
  } catch {
    document = { title: `The server answered ${response.status}`, detail: "What it said is no problem document." };
  }
  return new Problem(document, response.status, request, retry > 0 ? retry : null);
}

/** How often a question is asked again by itself. */
const MOST_TRIES = 3;
/** ms; the pages of many browsers do not ask at one instant what failed for all of them. */
const SPREAD_MS = 1000;

export const spread = (): number => Math.random() * SPREAD_MS;

/** Ask again after as long as the server says, unless `tries` were made already; the timer, to give that up. */
export function askLater(problem: Problem, tries: number, ask: () => void): ReturnType<typeof setTimeout> | undefined {
  if (problem.retryAfter === null || tries >= MOST_TRIES) return undefined;
  const wait = problem.retryAfter * 1000 + spread();
  problem.again = Date.now() + wait;
  return setTimeout(ask, wait);
}

/** No answer came at all: the server is away, or the network is. `status` is 0. */
export function unreachable(request: string): Problem {
  const detail = "The server did not answer. It is asked again when you retry, or by itself when the stream is back.";
  return new Problem({ title: "No answer", detail, code: "unreachable" }, 0, request);
}

/** What failed, as a panel shows it: of an answer that this page could not read `status` is -1, which no answer has. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new Problem({ title: "The page could not read this answer", detail, code: "unreadable" }, -1, "");
}
