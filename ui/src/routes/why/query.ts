import { family, moment, text, zone } from "$lib/url/query";

export const query = {
  series: text(),
  feed: text(),
  field: text(),
  "tag.*": family(),
  time: moment(),
  window: moment(),
  tz: zone(),
};
