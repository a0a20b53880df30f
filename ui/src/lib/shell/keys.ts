/** The keys of the page. `g` then a letter opens a page; one key is heard only outside fields. */

export interface Key {
  keys: string;
  means: string;
}

export const KEYS: readonly Key[] = [
  { keys: "/", means: "Find a series, feed, receipt or instant (Ctrl+K too)" },
  { keys: "g h", means: "Home" },
  { keys: "g e", means: "Explore" },
  { keys: "g l", means: "Ledger" },
  { keys: "g w", means: "Why" },
  { keys: "g f", means: "Feeds" },
  { keys: "g a", means: "Admin" },
  { keys: "t", means: "Range" },
  { keys: "z", means: "Time zone" },
  { keys: "c", means: "Copy a link to what is shown" },
  { keys: ".", means: "Pause or resume what is live" },
  { keys: "Esc", means: "Close what is on top" },
  { keys: "?", means: "These keys" },
];

const FIELDS = "input, textarea, select, [contenteditable], [role=application], [role=combobox]";

/** Whether a key is meant for what has the focus, and not for the page. */
export function isTyping(event: KeyboardEvent): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return true;
  // Of an editor in a shadow root the event's target is its host; the path begins within.
  const target = (event.composedPath()[0] ?? event.target) as Element | null;
  return target?.closest?.(FIELDS) != null;
}

/** A page's own keys (`t`, `z`, `.`): an element says that it answers one by `data-key`; it is pressed or focused. */
export function answerKey(key: string): boolean {
  const elements = document.querySelectorAll<HTMLElement>(`[data-key="${CSS.escape(key)}"]`);
  const element = [...elements].find((one) => one.offsetParent !== null);
  if (!element) return false;
  if (element.matches("button, a, summary")) element.click();
  if (!element.matches("a")) element.focus();
  return true;
}
