/**
 * Every route of the page: its path, what its query holds, its place in the bar, and where its component is. A folder
 * beside this file is a route; `query.ts` in it names the keys, `Page.svelte` shows it. Pages are loaded when they are
 * first opened.
 */
import type { Component } from "svelte";
import type { Schema } from "$lib/url/query";
import { query as admin } from "./admin/query";
import { query as analyse } from "./analyse/query";
import { query as explore } from "./explore/query";
import { query as feeds } from "./feeds/query";
import { query as home } from "./home/query";
import { query as ledger } from "./ledger/query";
import { query as receipts } from "./receipts/query";
import { query as signIn } from "./sign-in/query";
import { query as sources } from "./sources/query";
import { query as why } from "./why/query";

/** A page's component gets nothing: it reads `here` of `$lib/url/router`. */
type Load = () => Promise<{ default: Component }>;

export interface Route<S extends Schema = Schema> {
  /** Segments; one that starts with ":" is a parameter, and a last one with "?" may be absent. */
  readonly path: string;
  readonly query: S;
  readonly load: Load;
}

const route = <const S extends Schema>(path: string, query: S, load: Load): Route<S> => ({ path, query, load });

export const ROUTES = {
  home: route("/", home, () => import("./home/Page.svelte")),
  explore: route("/explore", explore, () => import("./explore/Page.svelte")),
  analyse: route("/analyse/:series", analyse, () => import("./analyse/Page.svelte")),
  ledger: route("/ledger", ledger, () => import("./ledger/Page.svelte")),
  why: route("/why", why, () => import("./why/Page.svelte")),
  receipts: route("/receipts/:receipt", receipts, () => import("./receipts/Page.svelte")),
  feeds: route("/feeds/:feed?", feeds, () => import("./feeds/Page.svelte")),
  sources: route("/sources", sources, () => import("./sources/Page.svelte")),
  admin: route("/admin", admin, () => import("./admin/Page.svelte")),
  signIn: route("/sign-in", signIn, () => import("./sign-in/Page.svelte")),
} as const;

export type RouteName = keyof typeof ROUTES;
