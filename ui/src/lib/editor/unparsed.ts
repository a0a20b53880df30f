/**
 * What CodeMirror's commands and completion ask of `@codemirror/language` and `@lezer/common`: the build puts this module
 * in their place. The editor paints and completes TOML by itself (`paint.ts`, `toml.ts`): it needs no tree of syntax.
 */
import { type EditorState, Facet } from "@codemirror/state";

export const indentUnit = Facet.define<string, string>({ combine: (units) => units[0] ?? "  " });

/** Columns of one step of indentation. */
export const getIndentUnit = (state: EditorState): number => state.facet(indentUnit).length;

/** Only commands that the editor has no key for ask these. */
function unparsed(): never {
  throw new Error("This editor has no parser.");
}

export { unparsed as getIndentation, unparsed as IndentContext, unparsed as indentString, unparsed as matchBrackets, unparsed as NodeProp, unparsed as syntaxTree };
