/** Decimals as big integers: an amount of money is never a float. A decimal is `digits` times 10 to the minus `SCALE`. */

export const SCALE = 18;

/** The decimal of a number's or a text's own digits ("0.1", "1e-7"); null: it is none. Digits beyond `SCALE` are cut. */
export function decimal(text: string): bigint | null {
  const parts = /^([+-]?)(\d+)(?:\.(\d*))?(?:e([+-]?\d+))?$/i.exec(text.trim());
  if (!parts) return null;
  const [, sign, whole = "", fraction = "", power = "0"] = parts;
  const shift = SCALE - fraction.length + Number(power);
  if (shift > 400) return null;
  const digits = BigInt(whole + fraction);
  const size = shift >= 0 ? digits * 10n ** BigInt(shift) : digits / 10n ** BigInt(-shift);
  return sign === "-" ? -size : size;
}

/** The product of two decimals, with twice the `SCALE`: nothing is rounded. */
export function times(a: bigint, b: bigint): bigint {
  return a * b;
}

/** A decimal of `scale` digits as text with `places` of them, rounded once, halves away from zero. */
export function fixed(value: bigint, scale: number, places: number): string {
  const unit = 10n ** BigInt(scale - places);
  const size = value < 0n ? -value : value;
  const rounded = (size + unit / 2n) / unit;
  const text = rounded.toString().padStart(places + 1, "0");
  const sign = value < 0n && rounded > 0n ? "−" : "";
  const whole = BigInt(places ? text.slice(0, -places) : text);
  return `${sign}${new Intl.NumberFormat(undefined).format(whole)}${places ? `.${text.slice(-places)}` : ""}`;
}
