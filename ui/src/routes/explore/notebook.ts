/** The selection of the page as lines for a notebook; loaded when they are asked for. */
import { aggregates, instantParameter, type View } from "./requests.ts";

/** Lines for a notebook, with the client that comes with the product. It takes its key from the environment. */
export function notebook(view: View, every: string | null, origin: string, names: readonly string[]): string {
  const windows = every ? `, every="${every}", agg=${JSON.stringify(aggregates(view.agg).split(",")).replaceAll(",", ", ")}` : "";
  const zone = view.zone === "UTC" ? "" : `, tz="${view.zone}"`;
  const series = view.ids.map((id, n) => `    "${names[n] ?? id}": "${id}",`).join("\n");
  return `from tidemill.client import Tidemill  # the key: TIDEMILL_KEY in the environment

tidemill = Tidemill("${origin}")
series = {
${series}
}
selection = dict(start="${instantParameter(view.from)}", end="${instantParameter(view.to)}"${windows}${zone})
frames = {name: tidemill.points(id, **selection) for name, id in series.items()}
for name, frame in frames.items():
    print(name, frame)
`;
}
