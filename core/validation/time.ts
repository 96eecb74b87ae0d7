/**
 * The times that the API accepts: those that stores can hold, and that an answer can write with a year of four digits.
 */

const FIRST = Date.parse('0001-01-01T00:00:00.000Z');
const LAST = Date.parse('9999-12-31T23:59:59.999Z');

/**
 * Checks that a time lies in the years 1 to 9999. The check is of the time in UTC, because an offset may move a time
 * into another year than the one that is written.
 *
 * @throws Error for any other time, including an invalid one; the caller adds the name of the field
 */
export function checkTime(time: Date): void {
  const at = time.getTime();
  if (!(at >= FIRST && at <= LAST)) throw new Error('A time must be within the years 0001 to 9999 in UTC.');
}
