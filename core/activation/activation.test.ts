/** The golden cases of activation, and what they cannot show. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { FleetFlagError } from '../errors.ts';
import type { FlagDefinition } from '../model.ts';
import { activationsOf } from './activation.ts';
import { waitingFlags, type ActivatedDefinitions } from './change-over.ts';
import {
  MAX_VALID_SECONDS,
  driveAfter,
  driveAtStart,
  driveUnknown,
  isStaleInDrive,
  readVehicleStateReport,
  type AgeInDrive,
  type Drive,
  type VehicleStateReport,
} from './drive.ts';

interface GoldenActivation {
  readonly changes: readonly {
    readonly name: string;
    readonly active: readonly FlagDefinition[];
    readonly next: readonly FlagDefinition[];
    /** The keys of those of `next` that are returns to a last known good. */
    readonly returned?: readonly string[];
    readonly waits: readonly string[];
  }[];
  readonly drives: readonly {
    readonly name: string;
    readonly kept: Drive | null;
    /** Reports in their order; null where the one before no longer counts. */
    readonly then: readonly (VehicleStateReport | null)[];
    readonly expected: Drive;
  }[];
  readonly ages: readonly { readonly name: string; readonly age: AgeInDrive; readonly expected: boolean }[];
}

const GOLDEN = JSON.parse(
  readFileSync(new URL('../golden/activation.json', import.meta.url), 'utf8'),
) as GoldenActivation;

const definitionsOf = (flags: readonly FlagDefinition[], returned: readonly string[] = []): ActivatedDefinitions =>
  new Map(
    flags.map((definition) => {
      const { key } = definition;
      return [key, { id: JSON.stringify(definition), definition, isReturn: returned.includes(key) }];
    }),
  );

describe('golden cases of activation.json', () => {
  it.each(GOLDEN.changes)('$name', ({ active, next, returned, waits }) => {
    expect([...waitingFlags(definitionsOf(active), definitionsOf(next, returned))].sort()).toEqual(waits);
    const turned = waitingFlags(definitionsOf(active.toReversed()), definitionsOf(next.toReversed(), returned));
    expect([...turned].sort()).toEqual(waits);
  });

  it.each(GOLDEN.drives)('$name', ({ kept, then, expected }) => {
    const after = then.reduce<Drive>(
      (drive, report) => (report === null ? driveUnknown(drive) : driveAfter(readVehicleStateReport(report))),
      driveAtStart(kept),
    );
    expect(after).toEqual(expected);
  });

  it.each(GOLDEN.ages)('$name', ({ age, expected }) => expect(isStaleInDrive(age)).toBe(expected));
});

describe('the activations of flags', () => {
  const activation = fc.constantFrom('IMMEDIATE', 'PARKED', 'NEXT_DRIVE' as const);
  const keys = ['a', 'b', 'c', 'd'];
  const flags = fc.array(
    fc.record({ key: fc.constantFrom(...keys), activation, excludes: fc.subarray(keys, { maxLength: 2 }) }),
    { maxLength: 8 },
  ) as fc.Arbitrary<Pick<FlagDefinition, 'key' | 'activation' | 'excludes'>[]>;
  const strictness = (name: string | null | undefined) => ['IMMEDIATE', 'PARKED', 'NEXT_DRIVE'].indexOf(String(name));

  it('are those of the strictest flag that leads to each, whatever names whom', () => {
    fc.assert(
      fc.property(flags, (all) => {
        const activations = activationsOf(all);
        for (const key of keys) {
          const leading = new Set([key]);
          for (const name of leading)
            for (const { key: other, excludes = [] } of all) if (excludes.includes(name)) leading.add(other);
          const own = all.filter((flag) => leading.has(flag.key)).map((flag) => strictness(flag.activation));
          expect(strictness(activations.get(key) ?? 'IMMEDIATE')).toBe(Math.max(0, ...own));
        }
      }),
    );
  });
});

describe('a report of the state of the vehicle', () => {
  const fault = (report: unknown): unknown => {
    try {
      return readVehicleStateReport(report);
    } catch (error) {
      return error instanceof FleetFlagError && [error.code, error.details.field];
    }
  };

  it.each([
    [null, ''],
    [[], ''],
    [{ moving: false }, 'ignition'],
    [{ ignition: 'ON', moving: false }, 'ignition'],
    [{ ignition: 'off' }, 'moving'],
    [{ ignition: 'off', moving: 0 }, 'moving'],
    [{ ignition: 'off', moving: false, speed: 0 }, 'speed'],
    ...[0, -1, MAX_VALID_SECONDS + 1, NaN, '60'].map(
      (validForSeconds) => [{ ignition: 'off', moving: false, validForSeconds }, 'validForSeconds'] as const,
    ),
  ])('%j is refused at %j', (report, field) => expect(fault(report)).toEqual(['BAD_USER_INPUT', field]));

  it('counts until the next one where it does not say for how long', () => {
    expect(fault({ ignition: 'on', moving: true })).toEqual({ ignition: 'on', moving: true, validForSeconds: null });
    const valid = { ignition: 'off', moving: false, validForSeconds: 0.5 };
    expect(fault(valid)).toEqual(valid);
  });
});
