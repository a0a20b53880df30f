/** Lengths of time as analyses write them. */

/** Seconds of "900 s" or "15 min"; 0: it is none. */
export function secondsOf(text: string | null): number {
  const parts = /^([\d.e+-]+) ?(ns|us|µs|ms|s|min|h|d)$/.exec(text ?? "");
  const unit = { ns: 1e-9, us: 1e-6, µs: 1e-6, ms: 1e-3, s: 1, min: 60, h: 3600, d: 86_400 }[parts?.[2] ?? ""] ?? 0;
  return parts ? Number(parts[1]) * unit : 0;
}

const WINDOW_S: Readonly<Record<string, number>> = { "15m": 900, "1h": 3600, "1d": 86_400, "1w": 604_800, "1mo": 2_629_746 };

/** How many steps a forecast looks ahead: two days of short ones, four weeks of days, a year of months. */
export function horizonFor(every: string, intervalS: number | null): number {
  if (every === "1mo") return 12;
  if (every === "1w") return 13;
  const step = WINDOW_S[every] ?? intervalS ?? 0;
  if (step >= 86_400) return 28;
  return step > 0 ? Math.max(24, Math.min(192, Math.round(172_800 / step))) : 48;
}

/** Seconds of a window's name, or of the interval of values as sent. */
export function stepSeconds(every: string, intervalS: number | null): number {
  return WINDOW_S[every] ?? intervalS ?? 0;
}
