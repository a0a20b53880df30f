/** Bytes of a sample as an editor shows them: as text (UTF-8), or in rows of 16 where they are none. */

export interface Span {
  start: number;
  end: number;
}

/** Where bytes are in a text: UTF-16 offsets of [start, end) of its UTF-8 bytes. Spans may come in any order. */
export function textSpans(text: string, spans: readonly Span[]): Span[] {
  const wanted = [...new Set(spans.flatMap((one) => [one.start, one.end]))].sort((a, b) => a - b);
  const places = new Map<number, number>();
  let [byte, unit, next] = [0, 0, 0];
  while (next < wanted.length) {
    while (next < wanted.length && (wanted[next] ?? 0) <= byte) places.set(wanted[next++] ?? 0, unit);
    if (unit >= text.length) break;
    const code = text.codePointAt(unit) ?? 0;
    byte += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    unit += code < 0x10000 ? 1 : 2;
  }
  return spans.map(({ start, end }) => ({ start: places.get(start) ?? text.length, end: places.get(end) ?? text.length }));
}

const ROW = 16;
const LINE = 10 + ROW * 3;

/** Rows of 16 bytes: `00000010  7b 22 ...`. */
export function hexRows(bytes: Uint8Array): string {
  const rows: string[] = [];
  for (let at = 0; at < bytes.length; at += ROW) {
    const hex = [...bytes.subarray(at, at + ROW)].map((one) => one.toString(16).padStart(2, "0")).join(" ");
    rows.push(`${at.toString(16).padStart(8, "0")}  ${hex.padEnd(ROW * 3 - 1)}`);
  }
  return rows.join("\n");
}

/** Where bytes are in their rows: a span for each row that they are in. */
export function hexSpans(spans: readonly Span[]): Span[] {
  return spans.flatMap(({ start, end }) => {
    const parts: Span[] = [];
    for (let row = Math.floor(start / ROW); row * ROW < end; row += 1) {
      const [a, b] = [Math.max(start, row * ROW) - row * ROW, Math.min(end, (row + 1) * ROW) - row * ROW];
      parts.push({ start: row * LINE + 10 + a * 3, end: row * LINE + 10 + b * 3 - 1 });
    }
    return parts;
  });
}

/** The text of bytes; null where they are no UTF-8, or hold NUL. */
export function textOf(bytes: Uint8Array): string | null {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return text.includes("\0") ? null : text;
  } catch {
    return null;
  }
}

export function base64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}
