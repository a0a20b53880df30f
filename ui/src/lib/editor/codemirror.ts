/**
 * The editor: CodeMirror in a shadow root, where its styles are adopted style sheets and no inline ones, so that the
 * policy of the page holds. A chunk of its own: only pages with an editor load it.
 */
import { autocompletion, type Completion, completionKeymap } from "@codemirror/autocomplete";
import { cursorDocEnd, cursorDocStart, deleteCharBackward, deleteCharForward, history, historyKeymap, insertNewlineKeepIndent, selectAll } from "@codemirror/commands";
import { Compartment, EditorState, type Extension, type Range, RangeSet, StateEffect, StateField } from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView, GutterMarker, gutterLineClass, highlightActiveLine, hoverTooltip, keymap, lineNumbers, ViewPlugin, type ViewUpdate } from "@codemirror/view";
import type { Span } from "./bytes.ts";
import { choicesAt, type FeedSchema, meaningAt } from "./schema.ts";
import { paintToml } from "./paint.ts";
import { placeAt } from "./toml.ts";

export interface PlacedFault {
  line: number;
  column: number;
  end: number;
  message: string;
  hint: string | null;
  instead: string | null;
}

/** A stretch of the text that is lit: a chosen record, or in it what is at fault. */
export interface Lit extends Span {
  kind: "record" | "fault";
}

export interface Setup {
  host: HTMLElement;
  text: string;
  label: string;
  /** Definitions are coloured, completed and explained; other texts are not. */
  toml: boolean;
  readOnly: boolean;
  schema: () => FeedSchema | null;
  /** After a change of the text by a person. */
  changed: (text: string) => void;
  /** Where the cursor is, after it moved (offset in the text). */
  moved: (position: number, text: string) => void;
}

const light = StateEffect.define<readonly Lit[]>();
const lines = StateEffect.define<readonly [number, number] | null>();

const faulty = StateEffect.define<readonly Marked[]>();

/** A fault at its place in the text. */
interface Marked {
  from: number;
  to: number;
  fault: PlacedFault;
}

const atFault = new (class extends GutterMarker {
  override elementClass = "at-fault";
})();

const marked = StateField.define<readonly Marked[]>({
  create: () => [],
  update(there, transaction) {
    let next = transaction.docChanged
      ? there.map((one) => ({ ...one, from: transaction.changes.mapPos(one.from, 1), to: transaction.changes.mapPos(one.to, -1) }))
      : there;
    for (const effect of transaction.effects) if (effect.is(faulty)) next = effect.value;
    return next;
  },
  provide: (field) => [
    EditorView.decorations.from(field, (all) =>
      Decoration.set(all.flatMap(({ from, to }) => (to > from ? [Decoration.mark({ class: "underlined" }).range(from, to)] : [])), true),
    ),
    gutterLineClass.compute([field], (state) => {
      const begins = new Set(state.field(field).map(({ from }) => state.doc.lineAt(Math.min(from, state.doc.length)).from));
      return RangeSet.of([...begins].sort((a, b) => a - b).map((begin) => atFault.range(begin)));
    }),
  ],
});

const painted = ViewPlugin.fromClass(
  class {
    marks: DecorationSet;
    constructor(view: EditorView) {
      this.marks = colours(view);
    }
    update(update: ViewUpdate) {
      if (update.docChanged || update.viewportChanged) this.marks = colours(update.view);
    }
  },
  { decorations: (plugin) => plugin.marks },
);

function colours(view: EditorView): DecorationSet {
  const { from, to } = view.viewport;
  const begin = view.state.doc.lineAt(from).from;
  const parts = paintToml(view.state.sliceDoc(begin, to));
  return Decoration.set(parts.map((part) => Decoration.mark({ class: `t-${part.kind}` }).range(begin + part.from, begin + part.to)), true);
}

/** Go to the next fault behind the cursor, or to the first. */
function nextFault(view: EditorView): boolean {
  const all = [...view.state.field(marked)].sort((a, b) => a.from - b.from);
  const next = all.find((one) => one.from > view.state.selection.main.from) ?? all[0];
  if (!next) return false;
  view.dispatch({ selection: { anchor: next.from, head: next.to }, scrollIntoView: true });
  return true;
}

const lit = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(shown, transaction) {
    let next = shown.map(transaction.changes);
    for (const effect of transaction.effects) if (effect.is(light)) next = litMarks(effect.value, transaction.state.doc.length);
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});

const lined = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(shown, transaction) {
    let next = shown.map(transaction.changes);
    for (const effect of transaction.effects) if (effect.is(lines)) next = lineMarks(effect.value, transaction.state);
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});

function litMarks(spans: readonly Lit[], length: number): DecorationSet {
  const marks: Range<Decoration>[] = spans.flatMap(({ start, end, kind }) => {
    const [from, to] = [Math.min(start, length), Math.min(end, length)];
    return to > from ? [Decoration.mark({ class: `lit ${kind}` }).range(from, to)] : [];
  });
  return Decoration.set(marks, true);
}

function lineMarks(range: readonly [number, number] | null, state: EditorState): DecorationSet {
  if (!range) return Decoration.none;
  const marks: Range<Decoration>[] = [];
  for (let n = range[0]; n <= Math.min(range[1], state.doc.lines); n += 1) marks.push(Decoration.line({ class: "of-rule" }).range(state.doc.line(n).from));
  return Decoration.set(marks);
}

const looks = EditorView.theme({
  "&": { height: "100%", color: "var(--ink)", backgroundColor: "transparent", fontSize: "12.5px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "20px", fontVariantLigatures: "none", overflow: "auto" },
  ".cm-content": { padding: "8px 0", caretColor: "var(--ink)" },
  ".cm-line": { padding: "0 12px 0 8px" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--soft)", border: "0" },
  ".cm-lineNumbers .cm-gutterElement": { padding: "0 4px 0 10px", minWidth: "32px" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--wash) 45%, transparent)" },
  ".cm-activeLineGutter": { backgroundColor: "transparent" },
  "&:not(.cm-focused) .cm-activeLine": { backgroundColor: "transparent" },
  ".of-rule, &:not(.cm-focused) .of-rule": { boxShadow: "inset 2px 0 var(--tide)" },
  ".cm-content ::selection, .cm-content::selection": { backgroundColor: "color-mix(in srgb, var(--tide) 30%, transparent)" },
  ".lit.record": { backgroundColor: "color-mix(in srgb, var(--m-accepted) 18%, transparent)", boxShadow: "inset 0 -2px var(--tide)" },
  ".lit.fault": { backgroundColor: "color-mix(in srgb, var(--m-rejected) 22%, transparent)", boxShadow: "inset 0 -2px var(--m-rejected)", color: "var(--ink)" },
  ".t-table": { fontWeight: "600" },
  ".t-word": { color: "color-mix(in srgb, var(--s2) 70%, var(--ink))" },
  ".t-string": { color: "var(--tide)" },
  ".t-comment": { color: "var(--soft)", fontStyle: "italic" },
  ".underlined": { textDecoration: "underline wavy var(--m-rejected) 1px", textUnderlineOffset: "3px" },
  ".at-fault": { color: "var(--rejected)", fontWeight: "600", boxShadow: "inset 3px 0 var(--m-rejected)" },
  ".cm-tooltip": { backgroundColor: "var(--panel)", color: "var(--ink)", border: "1px solid var(--edge)", borderRadius: "6px", boxShadow: "0 6px 24px rgb(10 30 45 / .18)", font: "13px/20px var(--font)", overflow: "hidden", zIndex: "20" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", fontSize: "12px", maxHeight: "16em" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "3px 10px", lineHeight: "20px" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--wash)", color: "var(--ink)" },
  ".cm-completionMatchedText": { textDecoration: "none", color: "var(--tide)", fontWeight: "600" },
  ".cm-completionDetail": { color: "var(--soft)", fontStyle: "normal", marginLeft: "10px" },
  ".cm-completionInfo": { maxWidth: "340px", padding: "8px 12px" },
  ".meaning": { maxWidth: "420px", padding: "8px 12px" },
  ".meaning b": { fontFamily: "var(--mono)", fontSize: "12px" },
  ".meaning .wrong": { color: "var(--rejected)" },
  ".meaning .facts": { color: "var(--soft)", fontSize: "12px" },
});

function completions(schema: () => FeedSchema | null): Extension {
  return autocompletion({
    icons: false,
    closeOnBlur: true,
    override: [
      (context) => {
        const known = schema();
        if (!known) return null;
        const text = context.state.doc.toString();
        const place = placeAt(text, context.pos);
        const choices = choicesAt(known, place, text);
        if (choices.length === 0 || (!context.explicit && place.word === "" && place.part === "key")) return null;
        const closed = context.state.sliceDoc(context.pos, context.pos + 2);
        const options = choices.map(
          ({ word, write, detail, meaning }): Completion => ({
            label: place.part === "value" ? write : word,
            displayLabel: word,
            detail,
            ...(meaning ? { info: () => block(meaning) } : {}),
            apply: (view, _, from, to) => put(view, write, from, to, closed),
          }),
        );
        return { from: place.from, options, validFor: /^"?[\w.-]*$/ };
      },
    ],
  });
}

/** Write a choice over what was typed; closing marks that stand there already are not written twice. */
function put(view: EditorView, write: string, from: number, to: number, closed: string): void {
  let end = to;
  if (write.endsWith('"') && closed.startsWith('"')) end += 1;
  if (write.endsWith("]") && closed.startsWith("]")) end += write.endsWith("]]") && closed === "]]" ? 2 : 1;
  view.dispatch({ changes: { from, to: Math.min(end, view.state.doc.length), insert: write }, selection: { anchor: from + write.length }, userEvent: "input.complete" });
}

function block(text: string, kind = ""): HTMLElement {
  const element = document.createElement("div");
  element.className = kind;
  element.textContent = text;
  return element;
}

/** What a word means, and what is at fault with it. */
function meanings(schema: () => FeedSchema | null): Extension {
  return hoverTooltip(
    (view, position) => {
      const known = schema();
      const text = view.state.doc.toString();
      const faults = view.state.field(marked).filter(({ from, to }) => from <= position && position <= to);
      const word = view.state.wordAt(position);
      const meaning = known && word ? meaningAt(known, placeAt(text, word.to), text) : null;
      if (!meaning && faults.length === 0) return null;
      const create = () => {
        const dom = document.createElement("div");
        dom.className = "meaning";
        for (const { fault } of faults) dom.append(block(sentence(fault), "wrong"));
        if (meaning) {
          const title = document.createElement("b");
          title.textContent = meaning.title;
          dom.append(title, block(meaning.text));
          if (meaning.facts.length > 0) dom.append(block(meaning.facts.join(" · "), "facts"));
        }
        return { dom };
      };
      return { pos: word?.from ?? position, end: word?.to ?? position, above: true, create };
    },
    { hoverTime: 350 },
  );
}

/** What the browser does not do by itself in a text that is only in part on the screen. */
const KEYS = [
  { key: "Enter", run: insertNewlineKeepIndent },
  { key: "Backspace", run: deleteCharBackward, shift: deleteCharBackward },
  { key: "Delete", run: deleteCharForward },
  { key: "Mod-a", run: selectAll },
  { key: "Mod-Home", run: cursorDocStart },
  { key: "Mod-End", run: cursorDocEnd },
];

/** An editor in a host; `destroy` takes it away. */
export class Editor {
  readonly #view: EditorView;
  readonly #open = new Compartment();

  constructor({ host, text, label, toml: isToml, readOnly, schema, changed, moved }: Setup) {
    const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
    const parent = document.createElement("div");
    parent.style.height = "100%";
    root.append(parent);
    const language = isToml
      ? [painted, marked, completions(schema), meanings(schema), highlightActiveLine(), keymap.of([{ key: "F8", run: nextFault }])]
      : [EditorView.lineWrapping];
    this.#view = new EditorView({
      parent,
      root,
      state: EditorState.create({
        doc: text,
        extensions: [
          // Ends of lines stay as they are: a sample's bytes are counted.
          EditorState.lineSeparator.of("\n"),
          lineNumbers(),
          history(),
          language,
          lit,
          lined,
          looks,
          keymap.of([...completionKeymap, ...historyKeymap, ...KEYS]),
          EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0", spellcheck: "false", autocapitalize: "off" }),
          this.#open.of(EditorState.readOnly.of(readOnly)),
          EditorView.updateListener.of((update) => {
            const now = () => update.state.doc.toString();
            if (update.docChanged && update.transactions.some((one) => one.isUserEvent("input") || one.isUserEvent("delete") || one.isUserEvent("undo") || one.isUserEvent("redo") || one.isUserEvent("move"))) changed(now());
            if (update.selectionSet || update.docChanged) moved(update.state.selection.main.head, now());
          }),
        ],
      }),
    });
  }

  get text(): string {
    return this.#view.state.doc.toString();
  }

  /** Show another text; the cursor and what was done before stay where they can. */
  set(text: string): void {
    if (text === this.text) return;
    this.#view.dispatch({ changes: { from: 0, to: this.#view.state.doc.length, insert: text }, selection: { anchor: 0 } });
  }

  setReadOnly(readOnly: boolean): void {
    this.#view.dispatch({ effects: this.#open.reconfigure(EditorState.readOnly.of(readOnly)) });
  }

  /** Mark faults: beside their lines, and under the words. */
  setFaults(faults: readonly PlacedFault[]): void {
    const { doc } = this.#view.state;
    const marks = faults.map((fault): Marked => {
      const line = doc.line(Math.min(Math.max(1, fault.line), doc.lines));
      const from = Math.min(line.from + units(line.text, fault.column - 1), line.to);
      return { from, to: Math.max(from, Math.min(line.from + units(line.text, fault.end - 1), line.to)), fault };
    });
    if (marks.length > 0 || this.#view.state.field(marked, false)?.length) this.#view.dispatch({ effects: faulty.of(marks) });
  }

  /** Write what was meant at a fault's place. */
  mend({ line, column, end, instead }: PlacedFault): void {
    const { doc } = this.#view.state;
    if (instead === null || line > doc.lines) return;
    const whole = doc.line(line);
    this.#write(whole.from + units(whole.text, column - 1), Math.min(whole.from + units(whole.text, end - 1), whole.to), instead);
  }

  /** Go to a line, from 1. */
  goTo(line: number, column = 1): void {
    const { doc } = this.#view.state;
    const whole = doc.line(Math.min(Math.max(1, line), doc.lines));
    this.#view.dispatch({ selection: { anchor: Math.min(whole.from + units(whole.text, column - 1), whole.to) }, scrollIntoView: true });
    this.#view.focus();
  }

  setLit(spans: readonly Lit[]): void {
    const first = spans[0];
    const scroll = first ? [EditorView.scrollIntoView(Math.min(first.start, this.#view.state.doc.length), { y: "center" })] : [];
    this.#view.dispatch({ effects: [light.of(spans), ...scroll] });
  }

  setLines(range: readonly [number, number] | null): void {
    this.#view.dispatch({ effects: lines.of(range) });
  }

  focus(): void {
    this.#view.focus();
  }

  destroy(): void {
    const parent = this.#view.dom.parentElement;
    this.#view.destroy();
    parent?.remove();
  }

  #write(from: number, to: number, word: string): void {
    const old = this.#view.state.sliceDoc(from, to);
    const quote = /^["']/.exec(old)?.[0] ?? "";
    this.#view.dispatch({ changes: { from, to, insert: quote + word + quote }, userEvent: "input.mend" });
    this.#view.focus();
  }
}

/** Columns count characters; an editor counts UTF-16 units. */
function units(line: string, characters: number): number {
  return [...line].slice(0, characters).join("").length;
}

export function sentence({ message, hint }: Pick<PlacedFault, "message" | "hint">): string {
  return hint ? `${message} (${hint})` : message;
}
