/**
 * Numbers as people read them. Values of the API may be numbers or texts (decimals, big integers): a text is shown
 * digit by digit, never through a float.
 */

const MINUS = "−";
const THIN = " ";
const NONE = "none";

const formats = new Map<string, Intl.NumberFormat>();

/** A number in the language of the browser, with a true minus. */
export function localNumber(value: number | bigint, options: Intl.NumberFormatOptions = {}): string {
  const key = JSON.stringify(options);
  let format = formats.get(key);
  if (!format) formats.set(key, (format = new Intl.NumberFormat(undefined, options)));
  return minus(format.format(value));
}

/** A count with grouping: 1,284,217. */
export function count(value: number | bigint | null | undefined): string {
  return value === null || value === undefined ? NONE : localNumber(value);
}

/** A count of an axis, which is a round one: 9,999, then 80K and 1.25M. */
export function axisCount(value: number): string {
  return value < 10_000 ? count(value) : localNumber(value, { notation: "compact", maximumSignificantDigits: 3 });
}

/** A value of a readout: 4 significant digits, and all of its whole part. */
export function value(given: number | string | null | undefined, unit = ""): string {
  if (given === null || given === undefined) return NONE;
  const number = Number(given);
  if (!Number.isFinite(number)) return NONE;
  return withUnit(shortened(number), unit);
}

function shortened(number: number): string {
  const size = Math.abs(number);
  if (size !== 0 && (size < 1e-4 || size >= 1e15)) return localNumber(number, { notation: "scientific", maximumSignificantDigits: 4 });
  return localNumber(number, size >= 1000 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 4 });
}

/** A value in full, as it was stored: for tables of raw points and for copying. */
export function exact(given: number | string | null | undefined, unit = ""): string {
  return given === null || given === undefined ? NONE : withUnit(minus(String(given)), unit);
}

/** A share of 1 as percent. Never rounded to 100 % or 0 % where it is neither. */
export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined || !Number.isFinite(share)) return NONE;
  const of100 = share * 100;
  if (of100 === 0 || of100 === 100) return `${of100}${THIN}%`;
  for (const digits of [1, 2, 3]) {
    const text = of100.toFixed(digits);
    if (Number(text) !== 100 && Number(text) !== 0) return `${local(text, digits)}${THIN}%`;
  }
  return of100 > 50 ? `over ${local("99.999", 3)}${THIN}%` : `under ${local("0.001", 3)}${THIN}%`;
}

function local(text: string, digits: number): string {
  return localNumber(Number(text), { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

const STEPS = ["B", "KB", "MB", "GB", "TB", "PB"] as const;

/** Bytes: 512 B, 39 MB, 1.4 GB (decimal, as disks are sold). */
export function bytes(size: number | null | undefined): string {
  if (size === null || size === undefined) return NONE;
  let step = 0;
  let amount = size;
  while (amount >= 999.5 && step < STEPS.length - 1) {
    amount /= 1000;
    step += 1;
  }
  const digits = step === 0 || amount >= 99.5 ? 0 : amount >= 9.95 ? 0 : 1;
  return `${local(amount.toFixed(digits), digits)}${THIN}${STEPS[step] ?? ""}`;
}

/** A rate a second: 4.8, 0.03, 1,200; "0" where nothing came. */
export function rate(perSecond: number): string {
  if (perSecond === 0) return "0";
  if (perSecond < 0.01) return "under 0.01";
  const digits = perSecond < 0.1 ? 2 : perSecond < 100 ? 1 : 0;
  return local(perSecond.toFixed(digits), digits);
}

/** "1 record", "12 records". */
export function counted(amount: number, one: string, many = `${one}s`): string {
  return `${count(amount)} ${amount === 1 ? one : many}`;
}

/** "a, b and c" */
export function listText(items: readonly string[]): string {
  return items.length < 2 ? (items[0] ?? "") : `${items.slice(0, -1).join(", ")} and ${items[items.length - 1]}`;
}

function withUnit(text: string, unit: string): string {
  return unit ? `${text}${THIN}${unit}` : text;
}

function minus(text: string): string {
  return text.replace("-", MINUS);
}
