/** Durations as clients write them: ISO 8601, without the units that have no fixed length. */
import { badInput } from '../errors.ts';

const UNITS = [7 * 24 * 60 * 60, 24 * 60 * 60, 60 * 60, 60, 1].map((seconds) => seconds * 1000);
const DURATION = /^P(?=\d|T\d)(?:(\d{1,9})W)?(?:(\d{1,9})D)?(?:T(?=\d)(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?$/;

/** Gives the milliseconds of a duration as `readDuration` accepts it; null for everything else. */
function millisecondsOf(text: unknown): number | null {
  const match = typeof text === 'string' ? DURATION.exec(text) : null;
  if (match === null) return null;
  const [, ...parts] = match;
  return UNITS.reduce((sum, unit, index) => sum + unit * Number(parts[index] ?? 0), 0);
}

/**
 * Reads an ISO 8601 duration of weeks, days, hours, minutes and whole seconds (`PT2H`, `P1D`, `P1DT12H`, `PT0S`) as
 * milliseconds. A day is 24 hours. Years and months have no fixed length and are refused.
 *
 * @throws BAD_USER_INPUT at `path`
 */
export function readDuration(text: unknown, path: string): number {
  const milliseconds = millisecondsOf(text);
  if (milliseconds === null)
    throw badInput(
      path,
      'Expected an ISO 8601 duration in weeks, days, hours, minutes and seconds, such as PT2H or P1D.',
    );
  return milliseconds;
}

/**
 * Reads a duration as `readDuration` does, and refuses one of zero.
 *
 * @throws BAD_USER_INPUT at `path`
 */
export function parseDuration(text: string, path: string): number {
  const milliseconds = millisecondsOf(text) ?? 0;
  if (milliseconds === 0)
    throw badInput(
      path,
      'Expected an ISO 8601 duration above zero in weeks, days, hours, minutes and seconds, such as PT2H or P1D.',
    );
  return milliseconds;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const TIMES = [
  ['H', 60 * 60 * 1000],
  ['M', 60 * 1000],
  ['S', 1000],
] as const;

/** Writes milliseconds, of whole seconds, as an ISO 8601 duration of days, hours, minutes and seconds. */
export function durationText(milliseconds: number): string {
  const days = Math.floor(milliseconds / DAY_MS);
  let rest = milliseconds % DAY_MS;
  let time = '';
  for (const [name, unit] of TIMES) {
    const count = Math.floor(rest / unit);
    rest -= count * unit;
    if (count > 0) time += `${count}${name}`;
  }
  if (days === 0 && time === '') return 'PT0S';
  return `P${days === 0 ? '' : `${days}D`}${time === '' ? '' : `T${time}`}`;
}
