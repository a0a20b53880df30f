import { oneOf, text, whole } from "$lib/url/query";

export const TABS = ["overview", "definition", "versions", "source"] as const;

export const query = {
  tab: oneOf(TABS, "overview"),
  version: whole(1),
  to: whole(1),
  sample: text(),
};
