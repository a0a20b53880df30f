/** Instants of a URL as milliseconds. Nanoseconds stay with whoever needs them (`$lib/format/time`). */

const UNIT_MS: Record<string, number> = { s: 1e3, m: 6e4, h: 36e5, d: 864e5, w: 6048e5 };

/** Milliseconds since 1970 of `now`, `-24h` or RFC 3339 text; null for "". */
export function momentMs(moment: string, now: number): number | null {
  if (moment === "") return null;
  if (moment === "now") return now;
  const relative = /^-(\d+)([smhdw])$/.exec(moment);
  if (relative) return now - Number(relative[1]) * (UNIT_MS[relative[2] ?? ""] ?? 0);
  return Date.parse(moment);
}

/** Milliseconds as the API takes them: RFC 3339 in UTC. */
export function rfc3339(ms: number): string {
  return new Date(ms).toISOString().replace(".000Z", "Z");
}
