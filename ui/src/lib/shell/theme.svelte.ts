/** Light, dark, or what the system has. Kept in a plain cookie, so that the server writes it into the document. */

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const COOKIE = "tidemill_theme";
const YEAR_S = 31_536_000;

class ThemeChoice {
  value: Theme = $state((document.documentElement.dataset.theme as Theme | undefined) ?? "system");

  set(theme: Theme): void {
    this.value = theme;
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    const secure = location.protocol === "https:" ? "; Secure" : "";
    const age = theme === "system" ? 0 : YEAR_S;
    document.cookie = `${COOKIE}=${theme}; Path=/; Max-Age=${age}; SameSite=Strict${secure}`;
  }
}

export const theme = new ThemeChoice();
