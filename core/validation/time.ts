/**
 * The times that the API takes, whatever they are for: those that stores can keep and answers can say with a year of
 * four digits.
 */

const FIRST = Date.parse('0001-01-01T00:00:00.000Z');
const LAST = Date.parse('9999-12-31T23:59:59.999Z');

/**
 * Checks a time as it is in UTC: an offset may carry one past the years that it is written in.
 *
 * @throws Error outside the years 1 to 9999; whoever reads a value names its field
 */
export function checkTime(time: Date): void {
  const at = time.getTime();
  if (!(at >= FIRST && at <= LAST)) throw new Error('A time must be within the years 0001 to 9999 in UTC.');
}
