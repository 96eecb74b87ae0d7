/**
 * Says whether a number is a multiple of another, by the decimal numbers that people write: 0.3 is a multiple of 0.1,
 * although the remainder of these two binary fractions is not 0.
 */

/** A number as `digits × 10^exponent`. */
interface Decimal {
  readonly digits: bigint;
  readonly exponent: number;
}

/** Gives the shortest decimal that stands for a finite number, as JSON writes it. */
function decimalOf(value: number): Decimal {
  // toExponential always gives these parts of a finite number.
  const [, whole, fraction = '', power] = /^(-?\d)(?:\.(\d+))?e([+-]\d+)$/.exec(value.toExponential())!;
  return { digits: BigInt(whole! + fraction), exponent: Number(power) - fraction.length };
}

/**
 * Says whether `value` is a multiple of `step`, both finite and `step` not 0. The numbers that this works with have at
 * most some 650 digits, whatever the exponents are.
 */
export function isMultipleOf(value: number, step: number): boolean {
  if (value === 0) return true;
  const one = decimalOf(value);
  const other = decimalOf(step);
  const exponent = Math.min(one.exponent, other.exponent);
  const scaled = (decimal: Decimal) => decimal.digits * 10n ** BigInt(decimal.exponent - exponent);
  return scaled(one) % scaled(other) === 0n;
}
