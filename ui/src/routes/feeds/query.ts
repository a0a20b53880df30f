import { oneOf, text, whole } from "$lib/url/query";

export const query = {
  tab: oneOf(["overview", "definition", "versions", "source"], "overview"),
  version: whole(1),
  to: whole(1),
  sample: text(),
};
