import { text } from "$lib/url/query";

/** `to`: a path of this page to go to afterwards; anything else is not followed. */
export const query = { to: text() };
