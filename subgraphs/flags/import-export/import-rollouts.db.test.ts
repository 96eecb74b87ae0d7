/** Imports and running rollouts: a rollout belongs to its rule, wherever a file puts that rule. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createInProcessBus } from '../../shared/feeds/bus.ts';
import { identityOf, silent } from '../../shared/testing/asking.ts';
import { createFlagChanges } from '../changes/change.ts';
import { parseEnvironmentFile } from '../../../core/wire/flag-files/environment-file.ts';
import { ImportService, exportEnvironment, planImport, type ImportOutcome } from './import-service.ts';
import { HOUR_MS, RolloutsUnderTest, type Target } from '../testing/rollouts-under-test.ts';

let rollouts: RolloutsUnderTest;
/** The rule with the running rollout: 5 % of Europe at priority 100; North America has priority 200. */
let target: Target;

beforeAll(async () => {
  rollouts = await RolloutsUnderTest.start();
  target = await rollouts.target();
  await rollouts.change(
    `createRule(flagKey: "${target.key}", input: { type: PERCENTAGE_ROLLOUT, priority: 200, conditions: { rollout_percentage: 1, regions: ["NA"] } })`,
  );
  await rollouts.scheduleHourly(target);
}, 60_000);
afterAll(() => rollouts?.flags.remove());

async function importing(edit: (file: string) => string): Promise<ImportOutcome[]> {
  const { prisma, signer, writer } = rollouts.flags;
  const { flags, faults } = parseEnvironmentFile(edit(await exportEnvironment(prisma, 'staging')));
  expect(faults).toEqual([]);
  const outcomes: ImportOutcome[] = [];
  const service = new ImportService(
    createFlagChanges(prisma, signer, createInProcessBus(), silent, rollouts.transitions),
  );
  for await (const outcome of service.apply(identityOf(writer), await planImport(prisma, 'staging', flags), false))
    outcomes.push(outcome);
  return outcomes;
}

const rules = async () =>
  (await rollouts.flags.prisma.rule.findMany({ where: { flagId: target.flagId }, orderBy: { priority: 'desc' } })).map(
    ({ id, priority, conditions }) => ({ id, priority, conditions }),
  );

test('an import that swaps two rules leaves each its rollout, which continues in its own region', async () => {
  const [america, europe] = await rules();
  expect(europe?.id).toBe(target.ruleId);
  // The file is older than the rollout's last step: its percentage is lower than the current one.
  expect(await rollouts.after(HOUR_MS)).toBe(1);
  const outcomes = await importing((file) =>
    file
      .replace('priority: 200', 'priority: X')
      .replace('priority: 100', 'priority: 200')
      .replace('priority: X', 'priority: 100'),
  );
  expect(outcomes).toEqual([{ key: target.key, done: 'changed', waits: false }]);
  expect(await rules()).toEqual([
    { id: europe?.id, priority: 200, conditions: { rollout_percentage: 10, regions: ['EU'] } },
    { id: america?.id, priority: 100, conditions: { rollout_percentage: 1, regions: ['NA'] } },
  ]);
  expect(await rollouts.shown(target)).toMatchObject({ status: 'RUNNING' });
  expect(await rollouts.after(HOUR_MS)).toBe(1);
  expect((await rules())[0]?.conditions).toEqual({ rollout_percentage: 25, regions: ['EU'] });
});

test("an import that changes the rollout's rule pauses the rollout, with the reason", async () => {
  await importing((file) => file.replace('- EU', '- KR'));
  expect(await rollouts.shown(target)).toMatchObject({
    status: 'PAUSED',
    pausedReason: "its rule's regions changed by hand",
  });
  expect((await rollouts.actions(target)).slice(-2)).toEqual(['UPDATE_FLAG', 'PAUSE_ROLLOUT']);
  expect(await rollouts.after(30 * 24 * HOUR_MS)).toBe(0);
});
