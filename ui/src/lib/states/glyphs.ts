export const GLYPHS = [
  "accepted",
  "rejected",
  "flagged",
  "late",
  "duplicate",
  "waiting",
  "received",
  "replayed",
  "changed",
  "window",
] as const;

export type GlyphName = (typeof GLYPHS)[number];
