/** Durations as the API writes them. */

/** The units of a soak, the longest first, with their seconds. */
export const SOAK_UNITS = { days: 86_400, hours: 3_600, minutes: 60, seconds: 1 } as const;
export type SoakUnit = keyof typeof SOAK_UNITS;

/** Gives the seconds of a duration as the API writes it (`P1DT12H`). */
export function durationSeconds(duration: string): number {
  const [, days, hours, minutes, seconds] =
    /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/.exec(duration) ?? [];
  const of = (count: string | undefined, unit: SoakUnit) => Number(count ?? 0) * SOAK_UNITS[unit];
  return of(days, 'days') + of(hours, 'hours') + of(minutes, 'minutes') + of(seconds, 'seconds');
}
