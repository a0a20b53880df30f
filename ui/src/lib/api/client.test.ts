import { afterEach, expect, test, vi } from "vitest";
import { access, send } from "./client";

afterEach(() => vi.unstubAllGlobals());

/** A request that is answered 401 when the returned function is called. */
function asked(): { ended: Promise<unknown>; answer: () => void } {
  let answer = () => {};
  vi.stubGlobal("fetch", () => new Promise((resolve) => (answer = () => resolve(new Response("{}", { status: 401 })))));
  const ended = send("http://127.0.0.1/v1/feeds").catch((error: unknown) => error);
  return { ended, answer: () => answer() };
}

test("a 401 asks for a key", async () => {
  access.signIn = vi.fn();
  const request = asked();
  request.answer();
  await request.ended;
  expect(access.signIn).toHaveBeenCalledOnce();
});

test("a 401 for a request from before a sign-in asks for no key", async () => {
  access.signIn = vi.fn();
  const request = asked();
  access.changes += 1;
  request.answer();
  await request.ended;
  expect(access.signIn).not.toHaveBeenCalled();
});
