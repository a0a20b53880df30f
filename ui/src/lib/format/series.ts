/** What a series is called, in full and in short. */

interface Named {
  feed: string;
  name: string;
  field: string;
  tags: Readonly<Record<string, string>>;
}

/** "p1 · bar": the name of a series, which is made of its tags unless the feed says otherwise, and its field. */
export function labelOf({ feed, field, name: full, tags }: Named): string {
  const name = full.endsWith(`/${field}`) ? full.slice(0, -field.length - 1) : full;
  if (name === field || name === "") return Object.keys(tags).length ? `${Object.values(tags).join("/")} · ${field}` : `${feed} · ${field}`;
  return `${name} · ${field}`;
}

/** "pumps · pump=p1 site=north" */
export function placeOf({ feed, tags }: Pick<Named, "feed" | "tags">): string {
  const pairs = Object.entries(tags).map(([key, value]) => `${key}=${value}`);
  return [feed, ...(pairs.length ? [pairs.join(" ")] : [])].join(" · ");
}

const REGISTER = /^0100(01|02)[0-9A-F]{4}FF$/;
const UUID = /\b([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g;

/** The direction that the register code of a meter's field names: "import", "feed-in"; "" for any other field. */
export function directionOf(field: string): string {
  const register = REGISTER.exec(field);
  return register ? (register[1] === "01" ? "import" : "feed-in") : "";
}

/** The label with the direction of a register, and ids cut to their first eight digits: "energy/0c5d4ad6 · import". */
export function shortLabel(series: Named): string {
  const label = labelOf(series).replace(UUID, "$1");
  const direction = directionOf(series.field);
  return direction ? `${label.slice(0, -series.field.length)}${direction}` : label;
}
