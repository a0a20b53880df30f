/** Bytes of a payload with parts of it marked: as text, as rows of hexadecimal, and as JSON laid out in lines. */

export type MarkKind = "fault" | "record";

/** A marked part, [start, end) in the payload. */
export interface Mark {
  start: number;
  end: number;
  kind: MarkKind;
}

/** A stretch of one kind; `kind` is null where nothing is marked. */
export interface Segment {
  start: number;
  end: number;
  kind: MarkKind | null;
}

/** Cuts [start, end) where marks begin and end. Where marks overlap, what is at fault shows. */
export function segments(start: number, end: number, marks: readonly Mark[]): Segment[] {
  const inside = marks.filter((mark) => mark.start < end && mark.end > start);
  const edges = new Set([start, end]);
  for (const mark of inside) {
    if (mark.start > start) edges.add(mark.start);
    if (mark.end < end) edges.add(mark.end);
  }
  const sorted = [...edges].sort((a, b) => a - b);
  const cut: Segment[] = [];
  for (let n = 1; n < sorted.length; n += 1) {
    const [from, to] = [sorted[n - 1] as number, sorted[n] as number];
    const over = inside.filter((mark) => mark.start <= from && mark.end >= to);
    const kind = over.some((mark) => mark.kind === "fault") ? "fault" : over.length > 0 ? "record" : null;
    const last = cut[cut.length - 1];
    if (last && last.kind === kind) last.end = to;
    else cut.push({ start: from, end: to, kind });
  }
  return cut;
}

export interface HexPart {
  hex: string;
  text: string;
  kind: MarkKind | null;
}

export interface HexRow {
  /** The offset in the payload, of four digits or more. */
  at: string;
  parts: HexPart[];
}

/** Rows of `width` bytes, aligned to it. `bytes` begin at `offset` of the payload. */
export function hexRows(bytes: Uint8Array, offset: number, marks: readonly Mark[], width = 8): HexRow[] {
  const rows: HexRow[] = [];
  const end = offset + bytes.length;
  for (let at = offset; at < end; ) {
    const next = Math.min(end, (Math.floor(at / width) + 1) * width);
    const parts = segments(at, next, marks).map((segment) => hexPart(bytes.subarray(segment.start - offset, segment.end - offset), segment.kind));
    rows.push({ at: at.toString(16).padStart(4, "0"), parts });
    at = next;
  }
  return rows;
}

function hexPart(bytes: Uint8Array, kind: MarkKind | null): HexPart {
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  const text = [...bytes].map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·")).join("");
  return { hex, text, kind };
}

export interface TextPart {
  text: string;
  kind: MarkKind | null;
  /** A member's name in JSON. */
  key?: boolean;
}

const DECODER = new TextDecoder("utf-8");

/** Bytes as text, cut where marks are. What is no UTF-8 stands as U+FFFD. */
export function textParts(bytes: Uint8Array, offset: number, marks: readonly Mark[]): TextPart[] {
  return segments(offset, offset + bytes.length, marks).map(({ start, end, kind }) => ({
    text: DECODER.decode(bytes.subarray(start - offset, end - offset)),
    kind,
  }));
}

/** The parts of a record, those marked that are not the same in another one. */
export function differing(parts: readonly TextPart[], other: readonly TextPart[]): TextPart[] {
  return parts.map((part, n) => (other[n]?.text === part.text ? part : { ...part, kind: "record" }));
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = new Set([0x7b, 0x5b]);
const CLOSE = new Set([0x7d, 0x5d]);
const BLANK = new Set([0x20, 0x09, 0x0a, 0x0d]);

/**
 * A JSON record laid out in lines, a member of the outermost object or array each; its digits and texts are those that
 * were sent. Of bytes that are no JSON the answer is the text as it is.
 */
export function laidOut(bytes: Uint8Array, offset: number, marks: readonly Mark[]): TextPart[] {
  const faults = marks.filter((mark) => mark.kind === "fault");
  const whole = faults.some((mark) => mark.start <= offset && mark.end >= offset + bytes.length);
  if (!OPEN.has(bytes[0] ?? 0)) return textParts(bytes, offset, faults);
  const parts: TextPart[] = [];
  const push = (text: string, start: number, end: number, key = false) => {
    const fault = !whole && faults.some((mark) => mark.start < offset + end && mark.end > offset + start);
    parts.push({ text, kind: fault ? "fault" : null, key });
  };
  const space = (text: string) => parts.push({ text, kind: null });
  let depth = 0;
  for (let n = 0; n < bytes.length; ) {
    const byte = bytes[n] as number;
    const start = n;
    if (BLANK.has(byte)) {
      n += 1;
    } else if (OPEN.has(byte)) {
      n += 1;
      depth += 1;
      push(String.fromCharCode(byte), start, n);
      if (depth === 1) space(" ");
    } else if (CLOSE.has(byte)) {
      n += 1;
      if (depth === 1) space(" ");
      depth -= 1;
      push(String.fromCharCode(byte), start, n);
    } else if (byte === 0x2c) {
      n += 1;
      space(depth === 1 ? ",\n  " : ", ");
    } else if (byte === 0x3a) {
      n += 1;
      space(": ");
    } else {
      n = byte === QUOTE ? stringEnd(bytes, n) : bareEnd(bytes, n);
      push(DECODER.decode(bytes.subarray(start, n)), start, n, byte === QUOTE && isKey(bytes, n));
    }
  }
  return parts;
}

function stringEnd(bytes: Uint8Array, at: number): number {
  for (let n = at + 1; n < bytes.length; n += 1) {
    if (bytes[n] === BACKSLASH) n += 1;
    else if (bytes[n] === QUOTE) return n + 1;
  }
  return bytes.length;
}

function bareEnd(bytes: Uint8Array, at: number): number {
  let n = at + 1;
  while (n < bytes.length && !BLANK.has(bytes[n] as number) && !CLOSE.has(bytes[n] as number) && bytes[n] !== 0x2c && bytes[n] !== 0x3a) n += 1;
  return n;
}

function isKey(bytes: Uint8Array, end: number): boolean {
  let n = end;
  while (BLANK.has(bytes[n] ?? 0)) n += 1;
  return bytes[n] === 0x3a;
}

/** Rows to show of many: those near a fault, the first ones, and null where rows are left out. */
export function nearFaults(rows: readonly HexRow[], most: number): (HexRow | null)[] {
  if (rows.length <= most) return [...rows];
  const wanted = new Set<number>();
  for (const [n, row] of rows.entries()) {
    if (row.parts.some((part) => part.kind === "fault")) for (const near of [n - 1, n, n + 1]) wanted.add(near);
  }
  for (let n = 0; wanted.size < most && n < rows.length; n += 1) wanted.add(n);
  const shown: (HexRow | null)[] = [];
  let before = -1;
  for (const n of [...wanted].filter((one) => one >= 0 && one < rows.length).sort((a, b) => a - b).slice(0, most)) {
    if (n !== before + 1) shown.push(null);
    shown.push(rows[n] as HexRow);
    before = n;
  }
  if (before < rows.length - 1) shown.push(null);
  return shown;
}
