import { expect, test } from '@jest/globals';
import { FleetFlagError } from '../../../core/errors.ts';
import { ReportRate } from './report-rate.ts';

let now = 0;

/** Gives the seconds after which a refused vehicle may report again; null where it may now. */
function waitOf(rate: ReportRate, vin: string): number | undefined | null {
  try {
    rate.count(vin);
    return null;
  } catch (error) {
    if (error instanceof FleetFlagError && error.code === 'RATE_LIMITED') return error.details.retryAfter;
    throw error;
  }
}

test('a vehicle reports 20 times in a minute, and again when that is over', () => {
  const rate = new ReportRate(() => now);
  expect(Array.from({ length: 20 }, () => waitOf(rate, 'a'))).toEqual(Array.from({ length: 20 }, () => null));
  now = 45_000;
  expect([waitOf(rate, 'a'), waitOf(rate, 'b')]).toEqual([15, null]);
  now = 60_000;
  expect(waitOf(rate, 'a')).toBeNull();
});
