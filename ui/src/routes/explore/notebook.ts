/** The selection of the page as lines for a notebook; loaded when they are asked for. */
import { aggregates, instantParameter, type View } from "./requests.ts";

/** A text as Python reads it: a name from outside stays a text, whatever stands in it. */
const text = (value: string): string => JSON.stringify(value);

/** Lines for a notebook, with the client that comes with the product. It takes its key from the environment. */
export function notebook(view: View, every: string | null, origin: string, names: readonly string[]): string {
  const windows = every ? `, every=${text(every)}, agg=${JSON.stringify(aggregates(view.agg).split(",")).replaceAll(",", ", ")}` : "";
  const zone = view.zone === "UTC" ? "" : `, tz=${text(view.zone)}`;
  const series = view.ids.map((id, n) => `    ${text(names[n] ?? id)}: ${text(id)},`).join("\n");
  return `from tidemill.client import Tidemill  # the key: TIDEMILL_KEY in the environment

tidemill = Tidemill(${text(origin)})
series = {
${series}
}
selection = dict(start="${instantParameter(view.from)}", end="${instantParameter(view.to)}"${windows}${zone})
frames = {name: tidemill.points(id, **selection) for name, id in series.items()}
for name, frame in frames.items():
    print(name, frame)
`;
}
