import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { askFailed, askWhenBack, giveUp } from "./back.ts";
import { asProblem, Problem, unreachable } from "./problem.ts";
import { Read } from "./read.svelte.ts";

const waits = (seconds: number | null, code = "unavailable") => new Problem({ code }, 503, "GET /x", seconds);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("a question that failed", () => {
  it("is asked again with all that follow it, three times", async () => {
    const asked: string[] = [];
    let away = true;
    const first = new Read(async () => asked.push("first"));
    const second = new Read(async () => {
      asked.push("second");
      if (away) throw waits(3);
    });
    const load = async () => {
      await first.run();
      await second.run();
    };
    second.again = load;
    await load();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked).toEqual(Array.from({ length: 4 }, () => ["first", "second"]).flat());
    away = false;
    await load();
    expect([second.problem, asked.length]).toEqual([null, 10]);
  });

  it("is asked no more once nobody waits for it", async () => {
    let asked = 0;
    const read = new Read(async () => {
      asked += 1;
      throw waits(1);
    });
    await read.run();
    read.stop();
    askFailed(Date.now() + 60_000);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked).toBe(1);
  });

  it("is asked when the server is back only where that can help, and a function once", async () => {
    const asked: string[] = [];
    const both = () => asked.push("both");
    const owners = [{}, {}, {}, {}, {}] as const;
    askWhenBack(unreachable("GET /x"), owners[0], both);
    askWhenBack(waits(1), owners[1], both);
    askWhenBack(waits(null, "feed_damaged"), owners[2], () => asked.push("damaged"));
    askWhenBack(asProblem(new SyntaxError("no JSON")), owners[3], () => asked.push("unreadable"));
    askWhenBack(unreachable("GET /y"), owners[4], () => asked.push("left"));
    giveUp(owners[4]);
    askFailed(Date.now() + 120_000);
    await vi.advanceTimersByTimeAsync(2000);
    expect(asked).toEqual(["both"]);
  });
});
