/** Two texts line by line: what is gone, what is new, with a line of what is around. */

export interface DiffLine {
  kind: "same" | "del" | "add" | "skip";
  text: string;
}

/** Lines that differ, each with `around` equal lines beside it; "skip" where equal lines are left out. */
export function lineDiff(before: string, after: string, around = 0): DiffLine[] {
  const [a, b] = [before.trimEnd().split("\n"), after.trimEnd().split("\n")];
  const width = b.length + 1;
  const longest = new Uint32Array((a.length + 1) * width);
  const at = (i: number, j: number) => longest[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      longest[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const all: DiffLine[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      all.push({ kind: "same", text: a[i] as string });
      i += 1;
      j += 1;
    } else if (i < a.length && (j >= b.length || at(i + 1, j) >= at(i, j + 1))) {
      all.push({ kind: "del", text: a[i] as string });
      i += 1;
    } else {
      all.push({ kind: "add", text: b[j] as string });
      j += 1;
    }
  }
  return near(all, around);
}

function near(all: readonly DiffLine[], around: number): DiffLine[] {
  const kept = all.map((line, n) => line.kind !== "same" || all.slice(Math.max(0, n - around), n + around + 1).some((one) => one.kind !== "same"));
  const shown: DiffLine[] = [];
  for (const [n, line] of all.entries()) {
    if (kept[n]) shown.push(line);
    else if (shown.length > 0 && shown[shown.length - 1]?.kind !== "skip" && kept.slice(n).includes(true)) shown.push({ kind: "skip", text: "" });
  }
  return shown;
}
