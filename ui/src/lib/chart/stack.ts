/** Bars that stand on one another: their paths, and the windows of a chart whose answer leaves out the empty ones. */

/** Paths of stacked bars, one for each row of `rows` (the first stands on the ground), in a box 1000 x `height`. */
export function stackPaths(rows: readonly (readonly number[])[], top: number, height: number): string[] {
  const count = rows[0]?.length ?? 0;
  const width = 1000 / Math.max(1, count);
  const air = Math.min(1.6, width * 0.12);
  const ground = new Array<number>(count).fill(height);
  return rows.map((row) => {
    let path = "";
    for (const [n, value] of row.entries()) {
      if (value <= 0) continue;
      const size = Math.max(1.5, (Math.min(value, top) / top) * height);
      const base = ground[n] ?? height;
      const tip = Math.max(0, base - size);
      path += `M${(n * width + air).toFixed(1)} ${base.toFixed(1)}h${(width - 2 * air).toFixed(1)}V${tip.toFixed(1)}h${(2 * air - width).toFixed(1)}z`;
      ground[n] = Math.max(0, tip - 0.6);
    }
    return path;
  });
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const LADDER: readonly [string, number][] = [
  ["1s", SECOND], ["5s", 5 * SECOND], ["15s", 15 * SECOND], ["1m", MINUTE], ["5m", 5 * MINUTE], ["15m", 15 * MINUTE],
  ["30m", HOUR / 2], ["1h", HOUR], ["3h", 3 * HOUR], ["6h", 6 * HOUR], ["1d", DAY], ["1w", 7 * DAY],
];

export interface Step {
  every: string;
  ms: number;
}

/** The length of windows of which a range has at most `most`; weeks where even those are more. */
export function stepOf(spanMs: number, most = 100): Step {
  const [every, ms] = LADDER.find(([, length]) => spanMs / length <= most) ?? (LADDER[LADDER.length - 1] as [string, number]);
  return { every, ms };
}

/** Where windows of `ms` begin that cover [from, to): days at midnight UTC, weeks on Monday. */
export function beginsOf(from: number, to: number, ms: number): number[] {
  const shift = ms === 7 * DAY ? 4 * DAY : 0;
  const begins: number[] = [];
  for (let at = Math.floor((from - shift) / ms) * ms + shift; at < to && begins.length < 2000; at += ms) begins.push(at);
  return begins;
}
