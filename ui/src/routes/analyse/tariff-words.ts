/** Windows of a tariff in words. */
import { clockOf, type TariffWindow } from "./tariff.ts";

export const DAY_WORDS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/** "Mon to Fri 06:00 to 22:00", "Sat, Sun 22:00 to 06:00" */
export function windowWords({ days, from, to }: TariffWindow): string {
  const [first = 1, last = 1] = [days[0], days[days.length - 1]];
  const run = days.length > 2 && last - first === days.length - 1;
  const on = days.length === 7 ? "daily" : run ? `${DAY_WORDS[first - 1]} to ${DAY_WORDS[last - 1]}` : days.map((day) => DAY_WORDS[day - 1]).join(", ");
  return `${on} ${clockOf(from)} to ${clockOf(to)}`;
}
