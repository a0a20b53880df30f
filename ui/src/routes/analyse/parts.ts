/** The cards of the page, in their order. */
export const PARTS = [
  "describe", "values", "distribution", "profile", "calendar", "duration", "autocorrelation", "spectrum", "decomposition", "forecast", "changes",
  "comparison", "cost",
] as const;

export type Part = (typeof PARTS)[number];

export const TITLES: Readonly<Record<Part, string>> = {
  describe: "What it is",
  values: "Over time",
  distribution: "Distribution",
  profile: "Hours of the week",
  calendar: "Calendar",
  duration: "Load duration",
  autocorrelation: "Autocorrelation",
  spectrum: "Spectrum",
  decomposition: "Trend, seasons, rest",
  forecast: "Forecast",
  changes: "Changes and unusual values",
  comparison: "Comparison",
  cost: "Energy cost",
};

/** Windows that are offered: what the API calls them, and their words. */
export const WINDOWS: readonly (readonly [string, string])[] = [
  ["", "As sent"], ["15m", "15 min"], ["1h", "Hour"], ["1d", "Day"], ["1w", "Week"], ["1mo", "Month"],
];

export const WINDOW_WORDS: Readonly<Record<string, string>> = { "15m": "quarter hour", "1h": "hour", "1d": "day", "1w": "week", "1mo": "month" };
