import { moment, oneOf, text, zone } from "$lib/url/query";
import { PARTS } from "./parts.ts";
import { tariffField } from "./tariff.ts";

/** `every`, `agg`: windows before the analysis; without them values as they were sent. `with`: the series beside this
 *  one; `with_from`, `with_to`: another period of it. `scale`: of the spectrum. `tariff`: what a kWh costs, and when. */
export const query = {
  from: moment(),
  to: moment(),
  tz: zone(),
  every: text(),
  agg: text(),
  part: oneOf(["", ...PARTS], ""),
  with: text(),
  with_from: moment(),
  with_to: moment(),
  scale: oneOf(["log", "linear"], "log"),
  tariff: tariffField(),
};
