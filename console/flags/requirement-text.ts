/** Requirements as a line of text, such as `lane_keep: on, eco`; without variants, any but `control` is meant. */

/** Gives the line of a requirement. */
export const requirementText = (key: string, variants: readonly string[] | null | undefined): string =>
  variants === null || variants === undefined ? key : `${key}: ${variants.join(', ')}`;

/** Reads the line of a requirement. */
export function readRequirement(text: string): {
  readonly flagKey: string;
  readonly variants: readonly string[] | null;
} {
  const [key = '', ...rest] = text.split(':');
  const variants = rest
    .join(':')
    .split(',')
    .map((variant) => variant.trim())
    .filter((variant) => variant !== '');
  return { flagKey: key.trim(), variants: variants.length === 0 ? null : variants };
}
