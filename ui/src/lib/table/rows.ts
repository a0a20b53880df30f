/** The arithmetic of tables: which rows are in view, where the focus goes, and rows as text to copy. */

export interface Slice {
  first: number;
  /** Excluded. */
  end: number;
}

/** Rows to make for a scroll position: those in view and `beyond` on either side; all of them up to `most`. */
export function sliceAt(count: number, scrollTop: number, height: number, rowHeight: number, beyond = 8, most = 200): Slice {
  if (count <= most) return { first: 0, end: count };
  const first = Math.max(0, Math.floor(scrollTop / rowHeight) - beyond);
  const end = Math.min(count, Math.ceil((scrollTop + height) / rowHeight) + beyond);
  return { first: Math.min(first, Math.max(0, count - 1)), end };
}

export interface Cell {
  /** -1: the head. */
  row: number;
  column: number;
}

/** Where a key moves the focus in a grid; null: the key is not the grid's. `page` is how many rows are in view. */
export function moveCell(key: string, ctrl: boolean, cell: Cell, rows: number, columns: number, page: number): Cell | null {
  const row = (to: number): Cell => ({ ...cell, row: Math.max(-1, Math.min(rows - 1, to)) });
  const column = (to: number): Cell => ({ ...cell, column: Math.max(0, Math.min(columns - 1, to)) });
  switch (key) {
    case "ArrowUp":
      return row(cell.row - 1);
    case "ArrowDown":
      return row(cell.row + 1);
    case "PageUp":
      return row(Math.max(0, cell.row - page));
    case "PageDown":
      return row(cell.row + page);
    case "ArrowLeft":
      return column(cell.column - 1);
    case "ArrowRight":
      return column(cell.column + 1);
    case "Home":
      return ctrl ? { row: 0, column: 0 } : column(0);
    case "End":
      return ctrl ? { row: rows - 1, column: columns - 1 } : column(columns - 1);
    default:
      return null;
  }
}

/** What a spreadsheet would calculate when it is pasted; a number is none of it. */
const FORMULA = /^[=+@-](?![\d.]+(e[+-]?\d+)?$)/i;

/**
 * Rows with their head, tab separated. A cell keeps to its cell: tabs and ends of lines become blanks, and a text that a
 * spreadsheet would take for a formula begins with an apostrophe.
 */
export function toTsv(head: string[], rows: (string | number | null)[][]): string {
  const cell = (value: string | number | null) => (value === null ? "" : String(value).replace(/[\t\r\n]+/g, " ").replace(FORMULA, "'$&"));
  return [head, ...rows].map((row) => row.map(cell).join("\t")).join("\n");
}
