/** Numbers and times as a language writes them. Times are in the viewer's zone, with its offset. */

/** The formats of one language: each function gives the text for a value. */
export interface Formats {
  number(value: number): string;
  /** @param value 0 to 100 */
  percent(value: number): string;
  /** Gives date, time and offset, such as `28 Nov 2026, 22:35:10 GMT+9`. @param time ISO 8601 */
  time(time: string): string;
  /** Gives at most four significant digits, such as `0.00012` and `12,350`. */
  rounded(value: number): string;
  /** Gives at most four significant digits of a percentage, such as `549.5%`. @param value in percent */
  roundedPercent(value: number): string;
  /** Gives a number in compact form, for the marks of an axis, such as `12K`. */
  short(value: number): string;
  /**
   * Gives the marks of an axis of times: the day for marks that are a day or more apart and for midnight, otherwise the
   * hour and minute, with seconds for marks less than a minute apart.
   *
   * @param times milliseconds since 1970
   * @param stepSeconds the seconds between two marks
   */
  timeMarks(times: readonly number[], stepSeconds: number): string[];
  /** Gives the zone's offset at a time, such as `GMT+9`. */
  offset(at: Date): string;
  /** Gives the seconds in days, hours, minutes and seconds, such as `1 day, 12 hours`. */
  duration(seconds: number): string;
  /** Gives how long ago `time` was, in one unit, such as `3 minutes ago`. */
  ago(time: string, nowMs: number): string;
  /** Gives milliseconds as seconds, with one decimal below 10 s, such as `4.2 s`. */
  seconds(milliseconds: number): string;
  /** Gives milliseconds with one decimal below 10, such as `4.2 ms`; from 1,000 on it gives seconds. */
  milliseconds(milliseconds: number): string;
  /** Gives a size in the unit that fits, by thousands, such as `4.2 MB`. */
  bytes(bytes: number): string;
}

const DAY_SECONDS = 86_400;
const SIZES = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const;

const UNITS = [
  ['day', DAY_SECONDS],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
] as const;

/** @param zone an IANA name; by default the viewer's */
export function formatsOf(locale: string, zone?: string): Formats {
  const number = new Intl.NumberFormat(locale, { maximumFractionDigits: 3 });
  const percent = new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 3 });
  const inZone = zone === undefined ? {} : { timeZone: zone };
  const time = new Intl.DateTimeFormat(locale, {
    dateStyle: 'medium',
    timeStyle: 'medium',
    hourCycle: 'h23',
    ...inZone,
  });
  // Intl refuses `timeZoneName` beside `dateStyle`, so a second format gives the offset.
  const offset = new Intl.DateTimeFormat(locale, { timeZoneName: 'shortOffset', ...inZone });
  const offsetAt = (date: Date) => offset.formatToParts(date).find(({ type }) => type === 'timeZoneName')?.value ?? '';
  const rounded = new Intl.NumberFormat(locale, { maximumSignificantDigits: 4 });
  const roundedPercent = new Intl.NumberFormat(locale, { style: 'percent', maximumSignificantDigits: 4 });
  const short = new Intl.NumberFormat(locale, { notation: 'compact', maximumSignificantDigits: 4 });
  const day = new Intl.DateTimeFormat(locale, { month: 'short', day: 'numeric', ...inZone });
  const minute = new Intl.DateTimeFormat(locale, {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
    ...inZone,
  });
  const clock = (time: number) => {
    const parts = new Map(minute.formatToParts(time).map(({ type, value }) => [type, value]));
    return { hour: parts.get('hour') ?? '', minute: parts.get('minute') ?? '', second: parts.get('second') ?? '' };
  };
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
  const amount = (value: number, unit: string, unitDisplay: 'narrow' | 'short') =>
    new Intl.NumberFormat(locale, {
      style: 'unit',
      unit,
      unitDisplay,
      maximumFractionDigits: value < 10 ? 1 : 0,
    }).format(value);
  const seconds = (milliseconds: number) => amount(milliseconds / 1_000, 'second', 'narrow');
  const inUnit = (unit: string) => new Intl.NumberFormat(locale, { style: 'unit', unit, unitDisplay: 'long' });
  const units = new Intl.ListFormat(locale, { type: 'unit', style: 'short' });
  return {
    number: (value) => number.format(value),
    percent: (value) => percent.format(value / 100),
    time(text) {
      const date = new Date(text);
      return `${time.format(date)} ${offsetAt(date)}`.trim();
    },
    offset: offsetAt,
    rounded: (value) => rounded.format(value),
    roundedPercent: (value) => roundedPercent.format(value / 100),
    short: (value) => short.format(value),
    timeMarks: (times, stepSeconds) =>
      times.map((time) => {
        const { hour, minute, second } = clock(time);
        if (stepSeconds >= DAY_SECONDS || `${hour}${minute}${second}` === '000000') return day.format(time);
        return stepSeconds >= 60 ? `${hour}:${minute}` : `${hour}:${minute}:${second}`;
      }),
    duration(given) {
      let rest = given;
      const parts = UNITS.flatMap(([unit, size]) => {
        const count = Math.floor(rest / size);
        rest -= count * size;
        return count === 0 ? [] : [inUnit(unit).format(count)];
      });
      return parts.length === 0 ? inUnit('second').format(0) : units.format(parts);
    },
    ago(text, nowMs) {
      const passed = (new Date(text).getTime() - nowMs) / 1_000;
      const [unit, size] = UNITS.find(([, size]) => Math.abs(passed) >= size) ?? UNITS[3];
      return relative.format(Math.round(passed / size), unit);
    },
    seconds,
    milliseconds: (value) => (value < 1_000 ? amount(value, 'millisecond', 'narrow') : seconds(value)),
    bytes(value) {
      const step = Math.min(SIZES.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)));
      return amount(value / 1_000 ** step, SIZES[step] ?? 'byte', 'short');
    },
  };
}
