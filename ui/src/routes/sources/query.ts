import { moment, text, zone } from "$lib/url/query";

export const query = { feed: text(), item: text(), result: text(), from: moment("-24h"), to: moment("now"), tz: zone() };
