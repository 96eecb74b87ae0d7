/** Vehicle identification numbers by ISO 3779: three sections, with the North American check digit. */

/** Source: 49 CFR 565.15(c), table III; digits stand for themselves. I, O and Q do not occur. */
const LETTER_VALUES: Readonly<Record<string, number>> = {
  A: 1,
  B: 2,
  C: 3,
  D: 4,
  E: 5,
  F: 6,
  G: 7,
  H: 8,
  J: 1,
  K: 2,
  L: 3,
  M: 4,
  N: 5,
  P: 7,
  R: 9,
  S: 2,
  T: 3,
  U: 4,
  V: 5,
  W: 6,
  X: 7,
  Y: 8,
  Z: 9,
};

/** The weights by position, from table IV of the same source; the ninth is the check digit's own. */
const WEIGHTS: readonly number[] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];

/** Gives the character for position 9 of `vin` (17 characters; the present one does not matter): `0` to `9` or `X`. */
export function checkDigit(vin: string): string {
  const sum = WEIGHTS.reduce((total, weight, index) => {
    const character = vin.charAt(index);
    return total + weight * (LETTER_VALUES[character] ?? Number(character));
  }, 0);
  const remainder = sum % 11;
  return remainder === 10 ? 'X' : String(remainder);
}

/** The sections of a VIN. */
export interface VinSections {
  /** World manufacturer identifier, 3 characters. */
  readonly manufacturer: string;
  /** Vehicle descriptor without the check digit, 5 characters. */
  readonly descriptor: string;
  /** Model year (`P` is 2023, `R` 2024, `S` 2025), 1 character. */
  readonly year: string;
  /** Assembly plant, 1 character. */
  readonly plant: string;
  /** 0 to 999,999. */
  readonly serial: number;
}

/** Composes the VIN of `sections`, with its check digit. */
export function composeVin({ manufacturer, descriptor, year, plant, serial }: VinSections): string {
  const start = `${manufacturer}${descriptor}`;
  const end = `${year}${plant}${String(serial).padStart(6, '0')}`;
  return `${start}${checkDigit(`${start}0${end}`)}${end}`;
}
