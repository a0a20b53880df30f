/** Answers that were asked for before, the latest 64 used. Nothing in it is ever wrong for longer than `keep` ms. */

export class Lru<T> {
  readonly #items = new Map<string, { value: T; at: number }>();
  readonly #most: number;

  constructor(most = 64) {
    this.#most = most;
  }

  get size(): number {
    return this.#items.size;
  }

  /** The value of a key unless it is older than `keep` ms; it is then the one used last. */
  get(key: string, keep = Infinity, now = Date.now()): T | undefined {
    const item = this.#items.get(key);
    if (!item) return undefined;
    this.#items.delete(key);
    if (now - item.at > keep) return undefined;
    this.#items.set(key, item);
    return item.value;
  }

  set(key: string, value: T, now = Date.now()): void {
    this.#items.delete(key);
    this.#items.set(key, { value, at: now });
    for (const oldest of this.#items.keys()) {
      if (this.#items.size <= this.#most) break;
      this.#items.delete(oldest);
    }
  }
}
