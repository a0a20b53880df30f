import { describe, expect, it } from "vitest";
import { ROUTES, type RouteName } from "../../routes/table";
import { href, match } from "./match";

const URLS: Record<RouteName, string[]> = {
  home: ["/", "/?range=1h", "/?range=7d&feed=pumps"],
  explore: [
    "/explore",
    "/explore?s=7&s=8.axis2&from=2026-11-29T00:00:00%2B01:00&to=now&tz=Europe/Zurich&every=3m&agg=mean",
    "/explore?y=0..16&show=rejected,rolling:1h&q=pump&f.feed=pumps&f.tag.pump=p1&at=2026-11-29T14:42:10.123456789Z&view=table",
    "/explore?show=",
  ],
  analyse: ["/analyse/01a2", "/analyse/a%2Fb?from=-7d&part=spectrum"],
  ledger: ["/ledger", "/ledger?feed=pumps&reason=late&reason=too_old&tag.pump=p1&from=-1h&by=time&open=01a2:1"],
  why: ["/why?series=7&time=2026-11-29T14:42:10Z", "/why?feed=pumps&field=bar&tag.pump=p1&window=2026-11-29T14:42:00Z"],
  receipts: ["/receipts/01a2", "/receipts/01a2?record=0&view=bytes"],
  feeds: ["/feeds", "/feeds/pumps", "/feeds/pumps?tab=versions&version=3&to=4"],
  sources: ["/sources", "/sources?feed=meters&result=not_reached&from=-7d"],
  admin: ["/admin", "/admin?tab=storage"],
  signIn: ["/sign-in", "/sign-in?to=/explore"],
};

describe("every route", () => {
  for (const name of Object.keys(ROUTES) as RouteName[]) {
    it.each(URLS[name])(`${name} is the same after a round trip: %s`, (url) => {
      const here = match(url);
      expect(here.name).toBe(name);
      if (here.name === null) return;
      expect(here.bad).toEqual([]);
      expect(here.rest).toEqual([]);
      expect(href(name, here.query as never, here.params)).toBe(url);
    });
  }
});

describe("a query", () => {
  it("leaves defaults out", () => {
    expect(href("home", { range: "24h" })).toBe("/");
    expect(href("ledger", { from: "-24h", to: "now", by: "received" })).toBe("/ledger");
  });

  it("keeps keys that the route does not know", () => {
    const here = match("/?later=1&range=1h&later=2");
    expect(here.name === "home" && here.rest).toEqual([
      ["later", "1"],
      ["later", "2"],
    ]);
    if (here.name === "home") expect(href("home", here.query, {}, here.rest)).toBe("/?range=1h&later=1&later=2");
  });

  it("names a bad value and goes on with the default", () => {
    const here = match("/?range=2y");
    if (here.name !== "home") throw new Error("not home");
    expect(here.query.range).toBe("24h");
    expect(here.bad).toEqual([{ key: "range", text: "2y", hint: "one of 15m, 1h, 24h, 7d" }]);
  });

  it.each(["/why?time=yesterday", "/why?tz=Mars/Olympus", "/explore?show=lies", "/receipts/x?record=-1"])(
    "names what cannot be read: %s",
    (url) => {
      const here = match(url);
      expect(here.name !== null && here.bad.length).toBe(1);
    },
  );

  it("reads an offset whose plus was not escaped", () => {
    const here = match("/why?time=2026-11-29T14:42:10+01:00");
    expect(here.name === "why" && here.query.time).toBe("2026-11-29T14:42:10+01:00");
  });
});

describe("a path", () => {
  it.each(["/v1/feeds", "/feeds/a/b", "/nothing", "/receipts", "/analyse"])("is none of the page: %s", (url) => {
    expect(match(url).name).toBeNull();
  });
});
