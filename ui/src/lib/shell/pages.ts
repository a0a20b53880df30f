/** The pages of the bar, in their order; `key` follows `g`. `scopes`: a key needs one of them to see it. */
import type { RouteName } from "../../routes/table";

export interface BarPage {
  name: RouteName;
  word: string;
  href: string;
  icon: string;
  key: string;
  scopes: readonly string[];
}

export const PAGES: readonly BarPage[] = [
  { name: "home", word: "Home", href: "/", icon: "home", key: "h", scopes: ["read"] },
  { name: "explore", word: "Explore", href: "/explore", icon: "explore", key: "e", scopes: ["read"] },
  { name: "ledger", word: "Ledger", href: "/ledger", icon: "ledger", key: "l", scopes: ["read"] },
  { name: "why", word: "Why", href: "/why", icon: "why", key: "w", scopes: ["read"] },
  { name: "feeds", word: "Feeds", href: "/feeds", icon: "feeds", key: "f", scopes: ["read"] },
  { name: "admin", word: "Admin", href: "/admin", icon: "admin", key: "a", scopes: ["admin"] },
];
