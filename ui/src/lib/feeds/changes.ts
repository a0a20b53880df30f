/** What differs between two definitions, in words. */
import type { components } from "$lib/api/api";
import { counted } from "$lib/format/numbers";

export type DefinitionChange = components["schemas"]["DefinitionChange"];

const LONGEST = 80;

export function valueText(value: unknown): string {
  if (value === null || value === undefined) return "none";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
}

/** "fields.bar.max: 10, now 16"; "tags.site is new: ..."; "rules.0 is gone". */
export function changeText({ path, change, old, new: now, hidden }: DefinitionChange): string {
  if (hidden) return `${path} ${change}; its value is for administrators`;
  if (change === "added") return `${path} is new: ${valueText(now)}`;
  if (change === "removed") return `${path} is gone: it was ${valueText(old)}`;
  if (change === "moved") return `${path} moved from ${valueText(old)} to ${valueText(now)}`;
  return `${path}: ${valueText(old)}, now ${valueText(now)}`;
}

/** "in 1 place"; comments and layout are no places. */
export function placesText(diff: readonly DefinitionChange[]): string {
  return diff.length === 0 ? "in comments or layout only" : `in ${counted(diff.length, "place")}`;
}

/** All of them in one line, cut short where they are many. */
export function changesLine(diff: readonly DefinitionChange[] | null, most = 2): string {
  if (diff === null) return "The first version.";
  if (diff.length === 0) return "Comments or layout only.";
  const said = diff.slice(0, most).map(changeText).join("; ");
  return diff.length > most ? `${said}; and ${diff.length - most} more` : said;
}
