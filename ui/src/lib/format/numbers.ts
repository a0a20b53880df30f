/**
 * Numbers as people read them. Values of the API may be numbers or texts (decimals, big integers): a text is shown
 * digit by digit, never through a float.
 */

const MINUS = "−";
const THIN = " ";
const NONE = "none";

/** A count with grouping: 1,284,217. */
export function count(value: number | bigint | null | undefined): string {
  return value === null || value === undefined ? NONE : minus(new Intl.NumberFormat(undefined).format(value));
}

/** A value of a readout: 4 significant digits, integers below a million whole. */
export function value(given: number | string | null | undefined, unit = ""): string {
  if (given === null || given === undefined) return NONE;
  const number = Number(given);
  if (!Number.isFinite(number)) return NONE;
  return withUnit(minus(shortened(number)), unit);
}

function shortened(number: number): string {
  const size = Math.abs(number);
  if (Number.isInteger(number) && size < 1e6) return new Intl.NumberFormat(undefined).format(number);
  if (size !== 0 && (size < 1e-4 || size >= 1e12)) return number.toExponential(3).replace(/e\+?/, "e");
  return new Intl.NumberFormat(undefined, { maximumSignificantDigits: 4 }).format(number);
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
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return minus(new Intl.NumberFormat(undefined, options).format(Number(text)));
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

function withUnit(text: string, unit: string): string {
  return unit ? `${text}${THIN}${unit}` : text;
}

function minus(text: string): string {
  return text.replace("-", MINUS);
}
