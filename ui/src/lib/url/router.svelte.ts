/**
 * The router: the address bar is the state. `router.here` is where the page is; `go` opens another place as a new
 * entry of the history, `change` sets values of the query of the open route (`replace` for zooms and typing).
 */
import { ROUTES, type RouteName } from "../../routes/table";
import { type Here, href, match, type Nowhere, type QueryOf } from "./match";
import { parseQuery, type Schema } from "./query";

class Router {
  here: Here | Nowhere = $state.raw(match(address()));
  /** Counts openings of a page: the shell moves the focus to the heading when it grows. */
  opened = $state(0);

  /** What was read last: a page that is about to be closed keeps its query and its parameters, and asks for nothing. */
  #queries: Partial<Record<RouteName, unknown>> = {};
  #params: Record<string, string> = {};

  /** The query of the open route, when it is `name`; else the one that it had, or the defaults. */
  query<N extends RouteName>(name: N): QueryOf<N> {
    const { here } = this;
    if (here.name === name) this.#queries[name] = here.query;
    return (this.#queries[name] ?? parseQuery(ROUTES[name].query as Schema, "").values) as QueryOf<N>;
  }

  /** A parameter of the open route's path; of a route without it, the last one of this name. */
  param(name: string): string {
    const value = this.here.name === null ? undefined : this.here.params[name];
    if (value !== undefined) this.#params[name] = value;
    return value ?? this.#params[name] ?? "";
  }

  go(url: string, how: "push" | "replace" = "push"): void {
    if (how === "push" && url !== address()) history.pushState(null, "", url);
    else history.replaceState(history.state, "", url);
    this.#arrive();
  }

  /** Set values of the query of the open route; the others and unknown keys stay. */
  change<N extends RouteName>(name: N, values: Partial<QueryOf<N>>, how: "push" | "replace" = "push"): void {
    const { here } = this;
    if (here.name !== name) return;
    const query = { ...(here.query as QueryOf<N>), ...values };
    this.go(href(name, query, here.params, here.rest), how);
  }

  /** Follow links of the page without loading it anew. Returns what stops it. */
  start(): () => void {
    const arrive = () => this.#arrive();
    const click = (event: MouseEvent) => {
      const link = (event.target as Element | null)?.closest?.("a[href]");
      if (!(link instanceof HTMLAnchorElement) || event.defaultPrevented || !isPlain(event)) return;
      if (link.target || link.download || link.origin !== location.origin) return;
      const url = link.pathname + link.search + link.hash;
      if (match(url).name === null || (link.hash && link.pathname === location.pathname)) return;
      event.preventDefault();
      this.go(url);
    };
    addEventListener("popstate", arrive);
    document.addEventListener("click", click);
    return () => {
      removeEventListener("popstate", arrive);
      document.removeEventListener("click", click);
    };
  }

  #arrive(): void {
    const before = this.here;
    this.here = match(address());
    const path = (url: string) => url.split("?")[0];
    if (path(before.url) !== path(this.here.url)) {
      this.opened += 1;
      scrollTo(0, 0);
    }
  }
}

function address(): string {
  return location.pathname + location.search;
}

function isPlain(event: MouseEvent): boolean {
  return event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
}

export const router = new Router();
