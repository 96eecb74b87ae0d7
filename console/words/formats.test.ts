import { describe, expect, test } from '@jest/globals';
import { formatsOf } from './formats.ts';

const AT = '2026-11-28T13:56:49.123Z';

describe('times and numbers', () => {
  test('are in the zone of the viewer, with its offset', () => {
    expect(formatsOf('en-GB', 'Asia/Seoul').time(AT)).toBe('28 Nov 2026, 22:56:49 GMT+9');
    expect(formatsOf('en-GB', 'Asia/Kolkata').time(AT)).toBe('28 Nov 2026, 19:26:49 GMT+5:30');
    expect(formatsOf('ko-KR', 'Asia/Seoul').time(AT)).toBe('2026. 11. 28. 22:56:49 GMT+9');
    // Summer time counts at the time that is shown, not now.
    expect(formatsOf('en-GB', 'Europe/Berlin').time('2026-07-01T10:00:00Z')).toBe('1 Jul 2026, 12:00:00 GMT+2');
  });

  test('are written as the language does', () => {
    const [english, korean] = [formatsOf('en-GB'), formatsOf('ko-KR')];
    expect(english.number(200_000)).toBe('200,000');
    expect(english.percent(12.5)).toBe('12.5%');
    expect(english.percent(0.001)).toBe('0.001%');
    expect(english.seconds(4_230)).toBe('4.2s');
    expect(english.milliseconds(4.26)).toBe('4.3ms');
    expect(english.milliseconds(999)).toBe('999ms');
    expect(korean.milliseconds(1_500)).toBe('1.5초');
    expect([0, 999, 1_000, 8_192, 12_345_678, 5e13].map((size) => english.bytes(size))).toEqual([
      '0 byte',
      '999 byte',
      '1 kB',
      '8.2 kB',
      '12 MB',
      '50 TB',
    ]);
    expect(korean.bytes(12_345_678)).toBe('12MB');
    expect(korean.seconds(42_300)).toBe('42초');
    expect(english.ago('2026-11-28T13:53:40Z', Date.parse(AT))).toBe('3 minutes ago');
    expect(korean.ago('2026-11-25T13:53:40Z', Date.parse(AT))).toBe('3일 전');
  });

  test('stand at the axis of a chart as its steps need it: days, or hours with the day at its beginning', () => {
    const formats = formatsOf('en-GB', 'Asia/Seoul');
    const at = (text: string) => Date.parse(text);
    expect(formats.timeMarks([at('2026-11-28T14:00:00Z'), at('2026-11-28T15:00:00Z')], 3_600)).toEqual([
      '23:00',
      '29 Nov',
    ]);
    expect(formats.timeMarks([at('2026-11-28T14:00:00Z')], 86_400)).toEqual(['28 Nov']);
    expect(formats.timeMarks([at('2026-11-28T14:00:05Z')], 5)).toEqual(['23:00:05']);
  });

  test('of durations name their units, without those that are not there', () => {
    expect(formatsOf('en-GB').duration(129_600)).toBe('1 day, 12 hours');
    expect(formatsOf('en-GB').duration(0)).toBe('0 seconds');
    expect(formatsOf('ko-KR').duration(1_800)).toBe('30분');
  });
});
