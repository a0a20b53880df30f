/**
 * The live stream of the page: one connection a browser. The tab that holds the lock leads, and hands each event on to
 * the others; a tab that is hidden for a minute steps back. Without a secure context there are no locks: then each
 * visible tab has a connection of its own.
 */
import { send } from "$lib/api/client";
import { Problem } from "$lib/api/problem";
import { now } from "$lib/shell/now.svelte";
import { type Happening, HIDDEN_MS, isLost, next, START, type State } from "./machine";
import { EventReader, type ServerEvent } from "./sse";

const NAME = "tidemill-stream";
const PATH = "/v1/stream?topics=receipts,changes,polls,health";

type Told = { event: ServerEvent } | { state: State } | { hello: true };
type Listener = (data: unknown, event: ServerEvent) => void;

class Stream {
  state: State = $state.raw(START);
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel(NAME);
  #leads = false;
  #last = "";
  #connection: AbortController | null = null;
  #seat: AbortController | null = null;
  #release: (() => void) | null = null;

  get lost(): boolean {
    return isLost(this.state, now.ms);
  }

  /** Hear events of a name (`receipt`, `change`, `poll`, `health`); returns what ends that. */
  on(name: string, listener: Listener): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /** Take part while the page is visible; returns what ends that. */
  start(): () => void {
    let hidden: ReturnType<typeof setTimeout> | undefined;
    const look = () => {
      clearTimeout(hidden);
      if (document.hidden) hidden = setTimeout(() => this.#leave(), HIDDEN_MS);
      else this.#join();
    };
    const ticking = setInterval(() => this.#happen({ what: "tick" }), 500);
    if (this.#channel) this.#channel.onmessage = ({ data }: MessageEvent<Told>) => this.#told(data);
    document.addEventListener("visibilitychange", look);
    look();
    return () => {
      clearInterval(ticking);
      clearTimeout(hidden);
      document.removeEventListener("visibilitychange", look);
      this.#leave();
    };
  }

  #join(): void {
    if (this.#seat) return;
    const seat = new AbortController();
    this.#seat = seat;
    if (!navigator.locks) {
      this.#lead();
      return;
    }
    this.#channel?.postMessage({ hello: true } satisfies Told);
    const held = () =>
      new Promise<void>((release) => {
        this.#release = release;
        if (seat.signal.aborted) release();
        else this.#lead();
      });
    navigator.locks.request(NAME, { signal: seat.signal }, held).catch(() => {
      // Given up while waiting for the lock: another tab leads.
    });
  }

  #leave(): void {
    this.#seat?.abort();
    this.#seat = null;
    this.#leads = false;
    this.#connection?.abort();
    this.#happen({ what: "leave" });
    this.#release?.();
    this.#release = null;
  }

  #lead(): void {
    this.#leads = true;
    this.state = { ...START, lostSince: this.state.lostSince };
    this.#happen({ what: "lead" });
  }

  #happen(happening: Happening): void {
    if (!this.#leads && happening.what !== "leave") return;
    const before = this.state;
    const after = next(before, happening, Date.now());
    if (after === before) return;
    this.state = after;
    if (before.phase === after.phase) return;
    if (this.#leads) this.#channel?.postMessage({ state: after } satisfies Told);
    if (after.phase === "retrying") this.#connection?.abort();
    if (after.phase === "connecting") void this.#connect();
  }

  async #connect(): Promise<void> {
    const connection = new AbortController();
    this.#connection = connection;
    const failed = (retryAfter: number | null = null) => {
      if (this.#connection === connection) this.#happen({ what: "failed", chance: Math.random(), retryAfter });
    };
    try {
      const headers: Record<string, string> = { Accept: "text/event-stream" };
      if (this.#last) headers["Last-Event-ID"] = this.#last;
      const answer = await send(PATH, { headers, signal: connection.signal });
      if (!answer.body) throw new Error("no body");
      this.#happen({ what: "opened" });
      const reader = new EventReader();
      const text = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let { done, value } = await text.read(); !done; { done, value } = await text.read()) {
        this.#happen({ what: "heard" });
        const events = reader.read(value ?? "");
        this.#last = reader.lastId || this.#last;
        for (const event of events) this.#hear(event);
      }
      failed();
    } catch (error) {
      // An id of another server, or of one that was made anew: go on from now.
      if (error instanceof Problem && error.status === 400) this.#last = "";
      failed(error instanceof Problem ? error.retryAfter : null);
    }
  }

  #hear(event: ServerEvent): void {
    this.#channel?.postMessage({ event } satisfies Told);
    this.#tell(event);
  }

  #told(told: Told): void {
    if ("hello" in told) {
      if (this.#leads) this.#channel?.postMessage({ state: { ...this.state } } satisfies Told);
    } else if (this.#leads || !this.#seat) {
      return;
    } else if ("state" in told) {
      this.state = told.state;
    } else {
      this.#last = told.event.id || this.#last;
      this.#tell(told.event);
    }
  }

  #tell(event: ServerEvent): void {
    let data: unknown;
    try {
      data = JSON.parse(event.data);
    } catch {
      return;
    }
    for (const listener of this.#listeners.get(event.name) ?? []) listener(data, event);
  }
}

export const stream = new Stream();
