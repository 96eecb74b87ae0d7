/** Steps of tests with segments: what they save, name in rules and read. */
import { expect } from '@jest/globals';
import type { Caller } from '../../../core/access/caller.ts';
import { definitionIn } from '../signing/signing.ts';
import type { FlagsUnderTest } from './flags-under-test.ts';

interface ChangeSet {
  readonly applied: boolean;
  readonly revision: number | null;
  readonly flags: readonly { readonly key: string; readonly revision: number }[];
  readonly changeRequest: { readonly id: string; readonly action: string } | null;
}

/** Gives the steps on a running subgraph, with the segment of a key. */
export function segmentTestSteps(running: () => FlagsUnderTest, segmentKey: () => string) {
  const SAVE = `mutation ($key: String!, $name: String!, $conditions: JSON!, $force: Boolean, $isNew: Boolean, $seen: DateTime) {
  saveSegment(key: $key, name: $name, conditions: $conditions, force: $force, isNew: $isNew, expectedUpdatedAt: $seen) {
    applied revision flags { key revision } changeRequest { id action }
  }
}`;
  const save = (conditions: unknown, caller: Caller = running().writer, more: object = {}) =>
    running().ask<{ saveSegment: ChangeSet }>(caller, SAVE, {
      key: segmentKey(),
      name: 'A fleet',
      conditions,
      ...more,
    });
  const saved = async (conditions: unknown) => {
    const { data, errors } = await save(conditions);
    expect(errors).toEqual([]);
    return data.saveSegment;
  };
  const DELETE = `mutation ($key: String!) { deleteSegment(key: $key) { key name conditions } }`;
  const remove = () => running().ask(running().writer, DELETE, { key: segmentKey() });

  const target = (more: object = {}) => ({ type: 'VEHICLE_TARGET', conditions: { segment: segmentKey() }, ...more });
  async function signedRules(flagKey: string) {
    const { signedDefinition } = await running().prisma.flag.findUniqueOrThrow({ where: { key: flagKey } });
    return definitionIn(signedDefinition ?? '').rules.map(({ type, conditions }) => ({ type, conditions }));
  }
  const evaluateFor = async (flagKey: string, context: object) =>
    (
      await running().ok<{ evaluateFlag: { value: unknown } }>(
        `query ($key: String!, $context: EvaluationContext!) { evaluateFlag(key: $key, context: $context) { value } }`,
        { key: flagKey, context },
      )
    ).evaluateFlag.value;

  async function addVehicle(vin: string, tags: readonly string[] = []): Promise<void> {
    await running().prisma.vehicle.create({
      data: { vin, model: 'EV9', swVersion: '2.5.0', region: 'EU', status: 'offline', tags: [...tags] },
    });
  }
  /** Tags a vehicle as the vehicles subgraph does, with the count in the same transaction. */
  const tag = (vin: string, name: string) =>
    running().prisma.$transaction([
      running().prisma.vehicle.update({ where: { vin }, data: { tags: [name] } }),
      running().prisma
        .$executeRaw`INSERT INTO vehicle_tags AS known (tag, changes) VALUES (${name}, 1) ON CONFLICT (tag) DO UPDATE SET changes = known.changes + 1`,
    ]);

  return { saved, target, signedRules, SAVE, save, remove, evaluateFor, addVehicle, tag };
}
