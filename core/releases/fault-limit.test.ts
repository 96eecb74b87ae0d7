import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { rounds } from '../testing/rounds.ts';
import { faultShareText, isPastFaultLimit, type FaultFigures, type FaultLimits } from './fault-limit.ts';

const figures = (ring: readonly [number, number], rest: readonly [number, number]): FaultFigures => ({
  ring: { faulty: ring[0], vehicles: ring[1] },
  rest: { faulty: rest[0], vehicles: rest[1] },
});
const limits = (maximumFaultyVehicles: number, maximumFaultyPercent: number): FaultLimits => ({
  maximumFaultyVehicles,
  maximumFaultyPercent,
});

const share = fc
  .tuple(fc.integer({ min: 0, max: 300_000 }), fc.double({ min: 0, max: 1, noNaN: true }))
  .map(([vehicles, part]) => ({ vehicles, faulty: Math.floor(vehicles * part) }));
const anyFigures = fc.record({ ring: share, rest: share });
const anyLimits = fc.record({
  maximumFaultyVehicles: fc.integer({ min: 0, max: 1_000 }),
  maximumFaultyPercent: fc.integer({ min: 0, max: 100_000 }).map((parts) => parts / 1_000),
});

describe('a release is past its limits', () => {
  test.each<[string, FaultFigures, FaultLimits, boolean]>([
    ['with more faulty vehicles and a higher share than allowed', figures([4, 100], [0, 1_000]), limits(3, 1), true],
    ['not with as many faulty vehicles as allowed', figures([3, 3], [0, 1_000]), limits(3, 1), false],
    ['not with a share that is as high as allowed', figures([4, 400], [0, 1_000]), limits(3, 1), false],
    ['with a share that is just above it', figures([4, 399], [0, 1_000]), limits(3, 1), true],
    ['not where the rest fares the same', figures([40, 100], [400, 1_000]), limits(3, 1), false],
    ['where the rest fares better by more', figures([40, 100], [389, 1_000]), limits(3, 1), true],
    ['with the first fault where none is allowed', figures([1, 100_000], [0, 100_000]), limits(0, 0), true],
    ['where there is no rest to compare with', figures([5, 100], [0, 0]), limits(3, 1), true],
    ['not without vehicles', figures([0, 0], [0, 0]), limits(0, 0), false],
    ['not by what binary fractions cannot say', figures([11, 1_000], [0, 10]), limits(3, 1.1), false],
  ])('%s', (_case, given, allowed, isPast) => {
    expect(isPastFaultLimit(given, allowed)).toBe(isPast);
  });

  test('never with few faults, and never where the rest fares at least as badly', () => {
    fc.assert(
      fc.property(anyFigures, anyLimits, ({ ring, rest }, allowed) => {
        if (ring.faulty <= allowed.maximumFaultyVehicles) expect(isPastFaultLimit({ ring, rest }, allowed)).toBe(false);
        expect(isPastFaultLimit({ ring, rest: ring }, allowed)).toBe(false);
      }),
      { numRuns: rounds(300, 20_000) },
    );
  });

  test('still when one more vehicle of the ring is faulty, one less of the rest, or the limits are lower', () => {
    fc.assert(
      fc.property(anyFigures, anyLimits, ({ ring, rest }, allowed) => {
        if (!isPastFaultLimit({ ring, rest }, allowed)) return;
        const worse = { ...ring, faulty: Math.min(ring.faulty + 1, ring.vehicles) };
        const better = { ...rest, faulty: Math.max(rest.faulty - 1, 0) };
        expect(isPastFaultLimit({ ring: worse, rest }, allowed)).toBe(true);
        expect(isPastFaultLimit({ ring, rest: better }, allowed)).toBe(true);
        const { maximumFaultyVehicles: vehicles, maximumFaultyPercent: percent } = allowed;
        expect(isPastFaultLimit({ ring, rest }, limits(Math.max(vehicles - 1, 0), percent))).toBe(true);
        expect(isPastFaultLimit({ ring, rest }, limits(vehicles, percent / 2))).toBe(true);
      }),
      { numRuns: rounds(300, 20_000) },
    );
  });

  test('as fractions say it, far from the limit', () => {
    fc.assert(
      fc.property(anyFigures, anyLimits, ({ ring, rest }, allowed) => {
        const of = ({ vehicles, faulty }: FaultFigures['ring']) => (vehicles === 0 ? 0 : (faulty / vehicles) * 100);
        const above = of(ring) - of(rest) - allowed.maximumFaultyPercent;
        fc.pre(Math.abs(above) > 1e-6);
        expect(isPastFaultLimit({ ring, rest }, allowed)).toBe(
          ring.faulty > allowed.maximumFaultyVehicles && above > 0,
        );
      }),
      { numRuns: rounds(300, 20_000) },
    );
  });
});

test('a share is written for people', () => {
  expect(faultShareText({ vehicles: 400, faulty: 12 })).toBe('12 of 400 (3%)');
  expect(faultShareText({ vehicles: 30_000, faulty: 1 })).toBe('1 of 30000 (0.00333%)');
  expect(faultShareText({ vehicles: 0, faulty: 0 })).toBe('0 of 0 (0%)');
});
