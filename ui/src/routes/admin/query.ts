import { oneOf } from "$lib/url/query";

export const query = { tab: oneOf(["keys", "storage", "deletions", "replays", "parts"], "keys") };
