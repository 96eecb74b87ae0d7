import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ENVIRONMENTS, type Environment } from '../core/model.ts';
import { createFlagChanges } from '../subgraphs/flags/changes/change.ts';
import { FlagService } from '../subgraphs/flags/flags/flag-service.ts';
import { PositionSignatures } from '../subgraphs/flags/signing/position-signatures.ts';
import { createSigner, generateSigningKey } from '../subgraphs/flags/signing/signing.ts';
import { EnvironmentSnapshots } from '../subgraphs/flags/sync/snapshots/snapshots.ts';
import { SyncService, type FlagSync } from '../subgraphs/flags/sync/sync.ts';
import { createInProcessBus } from '../subgraphs/shared/feeds/bus.ts';
import { createInProcessStore } from '../subgraphs/shared/stores/key-value-store.ts';
import { identityOf, silent, user } from '../subgraphs/shared/testing/asking.ts';
import { rounds } from '../core/testing/rounds.ts';
import { createTestDatabase, type TestDatabase } from '../subgraphs/shared/testing/test-database.ts';

const FLAGS = 100;
const REVISIONS = rounds(800, 5_000);
/** Each edits flags of its own, all at the same time. */
const EDITORS = 4;

let database: TestDatabase;
let snapshots: EnvironmentSnapshots;
let sync: SyncService;
let service: FlagService;
const identity = identityOf(user('WRITE'));

beforeAll(async () => {
  database = await createTestDatabase();
  const { prisma } = database.database;
  const signer = await createSigner(await generateSigningKey());
  service = new FlagService(prisma, createFlagChanges(prisma, signer, createInProcessBus(), silent));
  snapshots = new EnvironmentSnapshots({ prisma, store: createInProcessStore(), logger: silent });
  sync = new SyncService(snapshots, new PositionSignatures(signer));
});

afterAll(async () => {
  snapshots.close();
  await database.drop();
});

interface Entry {
  readonly key: string;
  readonly revision: number;
  readonly removed: boolean;
}

/**
 * Every revision of every environment, derived from the audit log alone: what each recorded edit did to where the flag
 * lives.
 */
async function historyFromAudit(): Promise<Map<Environment, Entry[]>> {
  const rows = await database.database.prisma.auditLog.findMany({ orderBy: { chainPosition: 'asc' } });
  const history = new Map<Environment, Entry[]>(ENVIRONMENTS.map((environment) => [environment, []]));
  const log = (environment: Environment, key: string, removed: boolean) => {
    const entries = history.get(environment)!;
    entries.push({ key, revision: entries.length + 1, removed });
  };
  const homes = new Map<string, { key: string; environment: Environment }>();
  for (const { action, flagId, afterValue } of rows) {
    const after = afterValue as { key: string; environment: Environment };
    if (action === 'CREATE_FLAG') homes.set(flagId ?? '', { key: after.key, environment: after.environment });
    const home = homes.get(flagId ?? '');
    if (home === undefined) throw new Error(`audit of an unknown flag: ${action}`);
    const to = action === 'UPDATE_FLAG' ? after.environment : home.environment;
    if (to !== home.environment || action === 'ARCHIVE_FLAG') log(home.environment, home.key, true);
    if (action !== 'ARCHIVE_FLAG') log(to, home.key, false);
    home.environment = to;
  }
  return history;
}

/** Gives the newest entry of each key that changed after `since`. A vehicle without flags gets no tombstones. */
function expectedSince(history: readonly Entry[], since: number): Entry[] {
  const newest = new Map<string, Entry>();
  for (const entry of history.slice(since)) newest.set(entry.key, entry);
  return [...newest.values()].filter(({ removed }) => since > 0 || !removed).sort((a, b) => a.revision - b.revision);
}

test(`after ${REVISIONS} revisions of ${FLAGS} flags, a sync from any revision is what changed since, each flag once and nothing else`, async () => {
  const edits = fc.sample(
    fc.record({
      flag: fc.nat(FLAGS - 1),
      how: fc.oneof(
        { weight: 80, arbitrary: fc.constant('toggle') },
        { weight: 12, arbitrary: fc.constant('move') },
        { weight: 4, arbitrary: fc.constant('archive') },
        { weight: 4, arbitrary: fc.constant('rule') },
      ),
      to: fc.constantFrom(...ENVIRONMENTS),
    }),
    { seed: 20_261_123, numRuns: REVISIONS },
  );
  let made = 0;
  const create = async (environment: Environment) => {
    const key = `flag_${++made}`;
    await service.createFlag(identity, {
      key,
      name: key,
      type: 'boolean',
      defaultValue: false,
      safetyLevel: 'Non-Critical',
      environment,
      enabled: true,
    });
    return { key, environment, enabled: true, archived: false, rule: false };
  };
  const flags: Awaited<ReturnType<typeof create>>[] = [];
  for (let index = 0; index < FLAGS; index++) flags.push(await create(ENVIRONMENTS[index % 3] as Environment));
  let revisions = FLAGS;
  const editor = async (own: number) => {
    for (const { flag: index, how, to } of edits) {
      if (revisions >= REVISIONS) return;
      if (index % EDITORS !== own) continue;
      const flag = flags[index]!;
      revisions += how === 'move' && to !== flag.environment && !flag.archived ? 2 : 1;
      if (flag.archived) flags[index] = await create(to);
      else if (how === 'move' && to !== flag.environment)
        await service.updateFlag(identity, flag.key, { environment: (flag.environment = to) }, null);
      else if (how === 'archive') {
        await service.archiveFlag(identity, flag.key, null);
        flag.archived = true;
      } else if (how === 'rule' && !flag.rule) {
        await service.createRule(
          identity,
          flag.key,
          { type: 'percentage_rollout', conditions: { rollout_percentage: 50 } },
          null,
        );
        flag.rule = true;
      } else await service.setEnabled(identity, flag.key, (flag.enabled = !flag.enabled), null);
      // The snapshot comes to its end in many steps, as it would in service.
      if (revisions % 97 === 0) await sync.sync(flag.environment, null, 0);
    }
  };
  await Promise.all(Array.from({ length: EDITORS }, (_, own) => editor(own)));

  const history = await historyFromAudit();
  expect([...history.values()].reduce((sum, entries) => sum + entries.length, 0)).toBeGreaterThanOrEqual(REVISIONS);
  const another = new EnvironmentSnapshots({
    prisma: database.database.prisma,
    store: createInProcessStore(),
    logger: silent,
  });
  const fresh = new SyncService(another, new PositionSignatures(await createSigner(await generateSigningKey())));
  // Where the database is slow to answer, a sync is answered by what was last known: that must be the end.
  for (const environment of ENVIRONMENTS) await fresh.sync(environment, null, 0);
  await Promise.all([snapshots.refresh(), another.refresh()]);
  let compared = 0;
  for (const environment of ENVIRONMENTS) {
    const entries = history.get(environment)!;
    const back = entries.filter(
      ({ key, removed, revision }) =>
        !removed && entries.some((other) => other.key === key && other.removed && other.revision < revision),
    );
    expect(back.length).toBeGreaterThan(rounds(0, 20));
    for (const answering of [sync, fresh]) {
      const answers: FlagSync[] = await Promise.all(
        Array.from({ length: entries.length + 1 }, (_, since) => answering.sync(environment, null, since)),
      );
      for (const [since, { revision, full, flags: sent }] of answers.entries()) {
        const answered = sent.map(({ key, revision: at, removed }) => ({ key, revision: at, removed }));
        const expected = {
          since,
          revision: entries.length,
          full: since === 0,
          answered: expectedSince(entries, since),
        };
        // Jest's comparison takes a hundred times as long: it is for showing the difference.
        if (!isDeepStrictEqual({ since, revision, full, answered }, expected))
          expect({ since, revision, full, answered }).toEqual(expected);
        compared++;
      }
    }
  }
  another.close();
  expect(compared).toBeGreaterThan(2 * REVISIONS);
}, 900_000);
