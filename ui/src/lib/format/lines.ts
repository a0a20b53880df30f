/** Two texts line by line: beside each other, or what is gone and what is new below one another. */

export interface Pair {
  kind: "same" | "changed" | "left" | "right";
  /** Number (from 1) and text of a line; null where the other side has one more. */
  left: { n: number; text: string } | null;
  right: { n: number; text: string } | null;
}

/** Beyond this many pairs of lines to compare, what differs is one block. */
const MOST = 4_000_000;

/** The lines of both texts, paired where they are the same. */
export function pairLines(left: string, right: string): Pair[] {
  const [a, b] = [split(left), split(right)];
  let begin = 0;
  while (begin < a.length && begin < b.length && a[begin] === b[begin]) begin += 1;
  let tail = 0;
  while (tail < a.length - begin && tail < b.length - begin && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const same = (n: number, m: number): Pair => ({ kind: "same", left: { n: n + 1, text: a[n] ?? "" }, right: { n: m + 1, text: b[m] ?? "" } });
  const pairs: Pair[] = [];
  for (let n = 0; n < begin; n += 1) pairs.push(same(n, n));
  let [n, m] = [begin, begin];
  const ends: [number, number] = [a.length - tail, b.length - tail];
  for (const [x, y] of [...common(a.slice(begin, ends[0]), b.slice(begin, ends[1])).map(([x, y]) => [x + begin, y + begin] as const), ends]) {
    block(pairs, a, b, [n, x], [m, y]);
    if (x < ends[0] && y < ends[1]) pairs.push(same(x, y));
    [n, m] = [x + 1, y + 1];
  }
  for (let k = 0; k < tail; k += 1) pairs.push(same(ends[0] + k, ends[1] + k));
  return pairs;
}

function split(text: string): string[] {
  const lines = text.split("\n");
  if (lines[lines.length - 1] === "") lines.pop();
  return lines;
}

function block(pairs: Pair[], a: string[], b: string[], [n, x]: [number, number], [m, y]: [number, number]): void {
  for (let k = 0; k < Math.max(x - n, y - m); k += 1) {
    const left = n + k < x ? { n: n + k + 1, text: a[n + k] ?? "" } : null;
    const right = m + k < y ? { n: m + k + 1, text: b[m + k] ?? "" } : null;
    pairs.push({ kind: left && right ? "changed" : left ? "left" : "right", left, right });
  }
}

/** Pairs of places of the longest common sequence of lines. */
function common(a: readonly string[], b: readonly string[]): [number, number][] {
  if (a.length * b.length > MOST) return [];
  const width = b.length + 1;
  const longest = new Uint16Array((a.length + 1) * width);
  const at = (n: number, m: number) => longest[n * width + m] ?? 0;
  for (let n = a.length - 1; n >= 0; n -= 1) {
    for (let m = b.length - 1; m >= 0; m -= 1) {
      longest[n * width + m] = a[n] === b[m] ? at(n + 1, m + 1) + 1 : Math.max(at(n + 1, m), at(n, m + 1));
    }
  }
  const pairs: [number, number][] = [];
  for (let n = 0, m = 0; n < a.length && m < b.length; ) {
    if (a[n] === b[m]) pairs.push([n++, m++]);
    else if (at(n + 1, m) >= at(n, m + 1)) n += 1;
    else m += 1;
  }
  return pairs;
}

/** Only what differs, with `around` lines of what is the same; null stands for lines that are left out. */
export function folded(pairs: readonly Pair[], around = 3): (Pair | null)[] {
  const near = new Set<number>();
  pairs.forEach((pair, n) => {
    if (pair.kind !== "same") for (let k = n - around; k <= n + around; k += 1) near.add(k);
  });
  const shown: (Pair | null)[] = [];
  for (const [n, pair] of pairs.entries()) {
    if (near.has(n)) shown.push(pair);
    else if (shown.length === 0 || shown[shown.length - 1] !== null) shown.push(null);
  }
  return shown;
}

export interface DiffLine {
  kind: "same" | "del" | "add" | "skip";
  text: string;
}

/** Lines that differ, those that are gone before the new ones, with `around` equal lines beside them; "skip" where equal lines are left out. */
export function lineDiff(before: string, after: string, around = 0): DiffLine[] {
  const lines: DiffLine[] = [];
  let added: DiffLine[] = [];
  const flush = () => {
    lines.push(...added);
    added = [];
  };
  for (const pair of folded(pairLines(before.trimEnd(), after.trimEnd()), around)) {
    if (pair === null || pair.kind === "same") {
      flush();
      lines.push(pair ? { kind: "same", text: pair.left?.text ?? "" } : { kind: "skip", text: "" });
      continue;
    }
    if (pair.left) lines.push({ kind: "del", text: pair.left.text });
    if (pair.right) added.push({ kind: "add", text: pair.right.text });
  }
  flush();
  const skips = (line: DiffLine | undefined) => line?.kind === "skip";
  return lines.slice(skips(lines[0]) ? 1 : 0, lines.length > 1 && skips(lines[lines.length - 1]) ? -1 : undefined);
}
