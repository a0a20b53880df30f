import { oneOf } from "$lib/url/query";

export const TABS = ["keys", "storage", "limits", "deletions", "replays", "parts"] as const;

export const TAB_WORDS: Readonly<Record<(typeof TABS)[number], string>> = {
  keys: "Keys",
  storage: "Storage",
  limits: "Retention and limits",
  deletions: "Deletions",
  replays: "Replays and jobs",
  parts: "Parts",
};

export const query = { tab: oneOf(TABS, "keys") };
