import { family, moment, oneOf, text, texts, zone } from "$lib/url/query";

export const query = {
  feed: text(),
  reason: texts(),
  series: text(),
  "tag.*": family(),
  receipt: text(),
  from: moment("-24h"),
  to: moment("now"),
  tz: zone(),
  by: oneOf(["received", "time"], "received"),
  recovered: oneOf(["no", "yes", "all"], "no"),
  open: text(),
  preview: text(),
};
