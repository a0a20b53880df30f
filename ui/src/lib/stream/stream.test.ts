import { describe, expect, it } from "vitest";
import { delayMs, type Happening, isLost, LONGEST_DELAY_MS, next, SILENT_MS, START, type State } from "./machine";
import { EventReader } from "./sse";

const after = (state: State, ...steps: [Happening, number][]): State =>
  steps.reduce((now, [happening, at]) => next(now, happening, at), state);
const LIVE = after(START, [{ what: "lead" }, 0], [{ what: "opened" }, 100]);

describe("the stream", () => {
  it("opens when this tab leads", () => {
    expect(next(START, { what: "lead" }, 0).phase).toBe("connecting");
    expect(LIVE).toMatchObject({ phase: "live", heardAt: 100, lostSince: null });
  });

  it("is tried again later and later, and says since when it is lost", () => {
    const lost = next(LIVE, { what: "failed", chance: 1 }, 5000);
    expect(lost).toMatchObject({ phase: "retrying", retryAt: 7000, lostSince: 5000 });
    expect(next(lost, { what: "tick" }, 6999).phase).toBe("retrying");
    const again = next(lost, { what: "tick" }, 7000);
    expect(again.phase).toBe("connecting");
    const more = next(again, { what: "failed", chance: 1 }, 8000);
    expect(more).toMatchObject({ retryAt: 12_000, lostSince: 5000 });
    expect(isLost(more, 64_999)).toBe(false);
    expect(isLost(more, 65_000)).toBe(true);
    const back = after(more, [{ what: "tick" }, 12_000], [{ what: "opened" }, 12_100]);
    expect(back).toMatchObject({ phase: "live", tries: 0, lostSince: null });
  });

  it("waits at least as long as the server says, 30 s at most", () => {
    expect(next(LIVE, { what: "failed", chance: 0, retryAfter: 8 }, 0).retryAt).toBe(8000);
    expect(next(LIVE, { what: "failed", chance: 0, retryAfter: 3600 }, 0).retryAt).toBe(LONGEST_DELAY_MS);
  });

  it("is held for dead when nothing comes", () => {
    const heard = next(LIVE, { what: "heard" }, 10_000);
    expect(next(heard, { what: "tick" }, 10_000 + SILENT_MS).phase).toBe("live");
    expect(next(heard, { what: "tick" }, 10_001 + SILENT_MS).phase).toBe("retrying");
  });

  it("is given up when the tab leaves, and nothing that comes late wakes it", () => {
    const off = next(LIVE, { what: "leave" }, 0);
    expect(off.phase).toBe("off");
    for (const late of ["opened", "heard", "tick"] as const) expect(next(off, { what: late }, 1).phase).toBe("off");
    expect(next(off, { what: "failed", chance: 0.5 }, 1).phase).toBe("off");
  });

  it("never waits less than 1 s or more than 30 s", () => {
    for (let tries = 1; tries < 200; tries += 1) {
      for (const chance of [0, 0.3, 1]) {
        expect(delayMs(tries, chance)).toBeGreaterThanOrEqual(1000);
        expect(delayMs(tries, chance)).toBeLessThanOrEqual(LONGEST_DELAY_MS);
      }
    }
  });
});

describe("server-sent events", () => {
  const TEXT = ': hello\n\nid: 7\nevent: receipt\ndata: {"feed":\ndata: "pumps"}\n\ndata: x\r\n\r\nid: 8\n\nevent: poll\ndata:y\n\n';
  const EVENTS = [
    { id: "7", name: "receipt", data: '{"feed":\n"pumps"}' },
    { id: "7", name: "message", data: "x" },
    { id: "8", name: "poll", data: "y" },
  ];

  it.each([1, 2, 3, 5, 7, 1000])("are the same in pieces of %i", (length) => {
    const reader = new EventReader();
    const events = [];
    for (let at = 0; at < TEXT.length; at += length) events.push(...reader.read(TEXT.slice(at, at + length)));
    expect(events).toEqual(EVENTS);
  });
});
