import { describe, expect, it } from "vitest";
import { axisText } from "../chart/scale.ts";
import { listText, value } from "./numbers.ts";
import { instantText, rangeLabel, spanText } from "./time.ts";

const ms = (text: string) => Date.parse(text);
const zone = "Europe/Zurich";
const year = new Date().getUTCFullYear();

describe("times in words", () => {
  it("has the offset on every absolute time, and the year when it is another", () => {
    expect(instantText(ms(`${year}-06-29T12:42:10Z`), zone)).toBe("29 Jun 14:42 +02:00");
    expect(instantText(ms("2019-05-01T12:00:00.250Z"), zone, "fraction")).toBe("1 May 2019 14:00:00.250 +02:00");
  });

  it("names whole days as days, and shorter ranges with their clocks", () => {
    expect(rangeLabel(ms(`${year}-06-28T22:00:00Z`), ms(`${year}-06-29T22:00:00Z`), zone)).toBe("29 Jun, 24 h");
    expect(rangeLabel(ms("2019-05-01T08:15:00Z"), ms("2019-05-01T09:18:00Z"), zone)).toBe("1 May 2019 10:15 to 11:18");
    expect(rangeLabel(ms("2019-04-30T22:00:00Z"), ms("2019-06-04T22:00:00Z"), zone)).toBe("1 May to 4 Jun 2019");
    expect(spanText(ms("2019-05-01T08:15:00Z"), ms("2019-05-01T09:18:00Z"), zone)).toBe("10:15 to 11:18");
  });

  it("calls a day of 25 hours what it is", () => {
    expect(rangeLabel(ms(`2019-10-26T22:00:00Z`), ms("2019-10-27T23:00:00Z"), zone)).toBe("27 Oct 2019, 25 h");
  });

});

describe("values in words", () => {
  it("has four significant digits, a true minus, and none for null", () => {
    expect([5.21034, -0.012345, 1284217.4, 0, null].map((one) => value(one))).toEqual(["5.21", "−0.01235", "1,284,217", "0", "none"]);
  });

  it("has as many digits on an axis as tell ticks apart", () => {
    expect([axisText(5, 1), axisText(0.15, 0.05), axisText(2.5, 2.5), axisText(-20, 20), axisText(120000, 20000)]).toEqual(
      ["5", "0.15", "2.5", "−20", "120K"]);
  });

  it("lists", () => {
    expect([listText(["a"]), listText(["a", "b", "c"])]).toEqual(["a", "a, b and c"]);
  });
});
