import { oneOf, text } from "$lib/url/query";

export const RANGES = ["15m", "1h", "24h", "7d"] as const;

export const query = { range: oneOf(RANGES, "24h"), feed: text() };
