/** Server-sent events out of text as it comes, in pieces of any length (WHATWG HTML, section 9.2.6). */

export interface ServerEvent {
  id: string;
  name: string;
  data: string;
}

export class EventReader {
  #rest = "";
  #name = "";
  #data: string[] = [];
  #id = "";

  /** The id to go on after, also one that came without an event. */
  get lastId(): string {
    return this.#id;
  }

  /** The events that are complete with this piece. A comment alone is none. */
  read(piece: string): ServerEvent[] {
    const text = this.#rest + piece;
    // A "\r" at the end may be half of "\r\n": it waits for the next piece.
    const end = text.endsWith("\r") ? text.length - 1 : text.length;
    const lines = text.slice(0, end).split(/\r\n|\n|\r/);
    this.#rest = (lines.pop() ?? "") + text.slice(end);
    const events: ServerEvent[] = [];
    for (const line of lines) {
      if (line === "") this.#complete(events);
      else this.#line(line);
    }
    return events;
  }

  #line(line: string): void {
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#name = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id" && !value.includes("\0")) this.#id = value;
  }

  #complete(events: ServerEvent[]): void {
    if (this.#data.length > 0) events.push({ id: this.#id, name: this.#name || "message", data: this.#data.join("\n") });
    this.#name = "";
    this.#data = [];
  }
}
