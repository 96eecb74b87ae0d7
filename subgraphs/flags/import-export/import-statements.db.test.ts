/** The statements that an import costs: they depend on what it does, and not on the number of its flags. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { FlagEntry, RuleEntry } from '../../../core/wire/flag-files/environment-file.ts';
import { createInProcessBus } from '../../shared/feeds/bus.ts';
import { identityOf, silent, user } from '../../shared/testing/asking.ts';
import { watchDatabase, type WatchedDatabase } from '../../shared/testing/watched-database.ts';
import { createFlagChanges } from '../changes/change.ts';
import { ChangeRequestService } from '../changes/requests/change-request-service.ts';
import { databaseClock } from '../rollouts/database-clock.ts';
import { RolloutTransitions } from '../rollouts/rollout-transitions.ts';
import { addPerson, FlagsUnderTest } from '../testing/flags-under-test.ts';
import { ImportService, planImport } from './import-service.ts';

/** The sizes of the imports that are compared; all rows of either fit one statement. */
const [FEW, MANY] = [50, 200];
/** Flags for each model: its partition must not exceed what vehicles can store. */
const FLAGS_OF_MODEL = 50;

let flags: FlagsUnderTest;
let watched: WatchedDatabase;
beforeAll(async () => {
  flags = await FlagsUnderTest.start();
  watched = await watchDatabase(flags.database.url);
}, 120_000);
afterAll(async () => {
  await watched?.close();
  await flags?.remove();
});

const rule = (over: Partial<RuleEntry>): RuleEntry => ({
  ...{ type: 'percentage_rollout', priority: 10, enabled: true, conditions: { rollout_percentage: 5 } },
  ...{ value: true, variant: 'on', ...over },
});
const target = rule({ type: 'vehicle_target', priority: 20, conditions: { models: ['Model 0'] } });
const killed = rule({
  ...{ type: 'kill_switch', priority: 1, conditions: { force_disabled: true, reason: 'off' } },
  ...{ value: null, variant: null },
});

type Make = (entry: FlagEntry, index: number) => FlagEntry;

const entriesOf = (prefix: string, count: number, make: Make): FlagEntry[] =>
  Array.from({ length: count }, (_, index) =>
    make(
      {
        ...{ key: `${prefix}_${index}`, name: 'A flag', description: null, type: 'boolean', defaultValue: false },
        ...{ enabled: true, safetyLevel: 'Non-Critical', scope: [`Model ${Math.floor(index / FLAGS_OF_MODEL)}`] },
        ...{
          requires: [],
          excludes: [],
          valueSchema: null,
          activation: 'IMMEDIATE',
          killActivation: 'IMMEDIATE',
          rules: [rule({}), rule({ priority: 30, variant: 'more' })],
        },
      },
      index,
    ),
  );

const changes = () => createFlagChanges(watched.prisma, flags.signer, createInProcessBus(), silent);

/** Imports a file, and gives the number of the statements that wrote it. */
async function statementsOf(entries: readonly FlagEntry[]): Promise<number> {
  const plan = await planImport(watched.prisma, 'staging', entries);
  const from = watched.statements.length;
  const failed: unknown[] = [];
  for await (const outcome of new ImportService(changes()).apply(identityOf(flags.writer), plan, true))
    if (outcome.done === 'failed') failed.push(outcome);
  expect(failed).toEqual([]);
  return watched.statements.length - from;
}

/** Approves the one request that waits, and gives the number of the statements that applied it. */
async function statementsOfApproval(): Promise<number> {
  const { userId } = await addPerson(flags.prisma, 'SAFETY');
  const service = new ChangeRequestService(
    watched.prisma,
    watched.prisma,
    changes(),
    new RolloutTransitions(databaseClock),
  );
  const [request, another] = await service.list({ status: 'pending' });
  expect(another).toBeUndefined();
  const from = watched.statements.length;
  await service.approve(identityOf(user('SAFETY', userId)), request?.id ?? '');
  return watched.statements.length - from;
}

/** The files that are imported one after another: how each makes an entry from that of the file before. */
const STEPS: Readonly<Record<string, Make>> = {
  'creates flags': (entry) => entry,
  'changes fields': (entry) => ({ ...entry, name: 'Another name', defaultValue: true }),
  'adds, moves and changes rules': (entry) => ({
    ...entry,
    rules: [rule({ priority: 40 }), target, rule({ priority: 30, conditions: { rollout_percentage: 7 } })],
  }),
  'removes rules, and takes flags to other models': (entry, index) => ({
    ...entry,
    scope: [`Model ${9 - Math.floor(index / FLAGS_OF_MODEL)}`],
    rules: [],
  }),
};

async function costs(count: number): Promise<Record<string, number>> {
  const cost: Record<string, number> = {};
  const prefix = `f_${randomUUID().slice(0, 8)}`;
  for (const [step, make] of Object.entries(STEPS)) cost[step] = await statementsOf(entriesOf(prefix, count, make));
  cost['archives flags'] = await statementsOf([]);
  const born = entriesOf(`${prefix}_killed`, count, (entry) => ({ ...entry, rules: [killed] }));
  cost['creates killed flags'] = await statementsOf(born);
  await statementsOf([]);
  const safe = entriesOf(`${prefix}_safe`, count, (entry) => ({ ...entry, safetyLevel: 'ASIL-D' }));
  cost['asks for flags'] = await statementsOf(safe);
  cost['approves them'] = await statementsOfApproval();
  cost['asks for their archiving'] = await statementsOf([]);
  cost['approves that'] = await statementsOfApproval();
  return cost;
}

test('an import of many flags costs as many statements as one of few', async () => {
  const few = await costs(FEW);
  expect(await costs(MANY)).toEqual(few);
  expect(Math.max(...Object.values(few))).toBeLessThan(40);
}, 300_000);
