import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { rounds } from '../testing/rounds.ts';
import { durationText, parseDuration, readDuration } from './duration.ts';

describe('parseDuration', () => {
  it.each([
    ['PT1S', 1_000],
    ['PT90M', 5_400_000],
    ['PT2H', 7_200_000],
    ['P1D', 86_400_000],
    ['P2W', 1_209_600_000],
    ['P1DT12H30M5S', 131_405_000],
  ])('reads %s', (text, milliseconds) => {
    expect(parseDuration(text, 'x')).toBe(milliseconds);
  });

  it.each([
    '',
    'P',
    'PT',
    'P1DT',
    'PT0S',
    'P0D',
    'P1M',
    'P1Y',
    '2H',
    'PT1.5H',
    'PT-1H',
    '-PT1H',
    'pt1h',
    'PT1H ',
    'PT1M1H',
    'P9999999999D',
  ])('refuses %j', (text) => {
    expect(() => parseDuration(text, 'steps.0.after')).toThrow(
      expect.objectContaining({ code: 'BAD_USER_INPUT', details: { field: 'steps.0.after' } }),
    );
  });
});

describe('readDuration', () => {
  it('reads a duration of zero, too', () => {
    expect(readDuration('PT0S', 'soak')).toBe(0);
    expect(readDuration('P1DT12H', 'soak')).toBe(129_600_000);
  });

  it.each([null, 5, '', 'P', 'PT', 'P1M', 'PT1.5H', ['PT1H']])('refuses %j', (given) => {
    expect(() => readDuration(given, 'soak')).toThrow(
      expect.objectContaining({ code: 'BAD_USER_INPUT', details: { field: 'soak' } }),
    );
  });
});

describe('durationText', () => {
  it.each([
    [0, 'PT0S'],
    [1_000, 'PT1S'],
    [86_400_000, 'P1D'],
    [604_800_000, 'P7D'],
    [131_405_000, 'P1DT12H30M5S'],
  ])('writes %d ms as %s', (milliseconds, text) => {
    expect(durationText(milliseconds)).toBe(text);
  });

  it('writes what is read back as the same duration', () => {
    fc.assert(
      fc.property(fc.nat(), (seconds) => {
        expect(readDuration(durationText(seconds * 1000), 'x')).toBe(seconds * 1000);
      }),
      { numRuns: rounds(100, 5_000) },
    );
  });
});
