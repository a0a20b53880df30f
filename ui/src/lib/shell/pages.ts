/** The pages of the bar, in their order; `key` follows `g`. `scope` is what a key needs to see one. */
import type { RouteName } from "../../routes/table";

export interface BarPage {
  name: RouteName;
  word: string;
  href: string;
  icon: string;
  key: string;
}

export const PAGES: readonly BarPage[] = [
  { name: "home", word: "Home", href: "/", icon: "home", key: "h" },
  { name: "explore", word: "Explore", href: "/explore", icon: "explore", key: "e" },
  { name: "ledger", word: "Ledger", href: "/ledger", icon: "ledger", key: "l" },
  { name: "why", word: "Why", href: "/why", icon: "why", key: "w" },
  { name: "feeds", word: "Feeds", href: "/feeds", icon: "feeds", key: "f" },
  { name: "admin", word: "Admin", href: "/admin", icon: "admin", key: "a" },
];
