import { moment, text, zone } from "$lib/url/query";

export const query = { from: moment(), to: moment(), tz: zone(), every: text(), part: text() };
