/** The parts of a definition that have a colour of their own. Line by line: texts over several lines are not coloured. */

export interface Part {
  kind: "table" | "string" | "comment" | "word";
  from: number;
  to: number;
}

const PARTS = /(?<table>^[ \t]*\[\[?[^\]\n]*\]\]?)|(?<string>"(?:[^"\\\n]|\\.)*"|'[^'\n]*')|(?<comment>#.*)|(?<word>(?<=[=,[\s])(?:true|false|[+-]?\d[\w.:+-]*)(?=[\s,\]}]|$))/gm;
const KINDS = ["table", "string", "comment", "word"] as const;

export function paintToml(text: string): Part[] {
  const parts: Part[] = [];
  for (const one of text.matchAll(PARTS)) {
    const kind = KINDS.find((name) => one.groups?.[name] !== undefined);
    if (kind) parts.push({ kind, from: one.index, to: one.index + one[0].length });
  }
  return parts;
}
