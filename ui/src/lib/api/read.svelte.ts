/**
 * One answer of the API and the state that a panel shows of it: `data` stays while a newer answer is on its way,
 * `slow` is true once that takes more than 300 ms, `problem` is what the last try came to. What the server cannot answer
 * now it is asked again after as long as it says (`Retry-After`), three times.
 */
import { askWhenBack, giveUp } from "./back";
import { askLater, asProblem, type Problem } from "./problem";

const SLOW_MS = 300;

export class Read<T> {
  data: T | undefined = $state.raw();
  problem: Problem | null = $state.raw(null);
  slow = $state(false);
  /** When `data` came (ms); 0 before the first. */
  at = $state(0);
  /** What is asked once the server is back or wants to be asked: where other questions follow this one, those too. */
  again: () => unknown = () => this.run();
  readonly #ask: (signal: AbortSignal) => Promise<T>;
  #running: AbortController | null = null;
  #later: ReturnType<typeof setTimeout> | undefined;
  /** How often in a row it was asked again as the server said, when it is asked next. */
  #tries = 0;

  constructor(ask: (signal: AbortSignal) => Promise<T>) {
    this.#ask = ask;
  }

  /** Ask, whatever is on its way; that one is given up. */
  async run(): Promise<void> {
    const tries = this.#tries;
    this.stop();
    const running = new AbortController();
    this.#running = running;
    const timer = setTimeout(() => (this.slow = true), SLOW_MS);
    try {
      const data = await this.#ask(running.signal);
      if (running.signal.aborted) return;
      this.data = data;
      this.problem = null;
      this.at = Date.now();
    } catch (error) {
      if (running.signal.aborted) return;
      const problem = asProblem(error);
      this.#later = askLater(problem, tries, () => {
        this.#later = undefined;
        this.#tries = tries + 1;
        this.again();
      });
      this.problem = problem;
      askWhenBack(problem, this, this.again);
    } finally {
      clearTimeout(timer);
      if (this.#running === running) {
        this.#running = null;
        this.slow = false;
      }
    }
  }

  /** Ask unless an answer is on its way already, or the server wants to be left alone for now. */
  async refresh(): Promise<void> {
    if (!this.#running && this.#later === undefined) await this.run();
  }

  /** Ask now, then again as long as the page is seen. What it returns ends that: `$effect(() => read.keep(5000))`. */
  keep(everyMs: number): () => void {
    void this.run();
    const timer = setInterval(() => {
      if (!document.hidden) void this.refresh();
    }, everyMs);
    return () => {
      clearInterval(timer);
      this.stop();
    };
  }

  stop(): void {
    giveUp(this);
    clearTimeout(this.#later);
    this.#later = undefined;
    this.#tries = 0;
    this.#running?.abort();
    this.#running = null;
    this.slow = false;
  }
}
