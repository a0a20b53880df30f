import { oneOf, whole } from "$lib/url/query";

export const query = { record: whole(), view: oneOf(["records", "bytes"], "records") };
