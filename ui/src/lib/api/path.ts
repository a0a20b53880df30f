/** The path of a request, with its query as people read it: colons, commas and slashes stay. Empty values are left out. */
export function pathOf(base: string, parameters: Readonly<Record<string, string>>): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== "");
  const search = new URLSearchParams(given).toString().replaceAll("%3A", ":").replaceAll("%2C", ",").replaceAll("%2F", "/");
  return search ? `${base}?${search}` : base;
}
