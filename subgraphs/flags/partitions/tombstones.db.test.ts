/** The statements that the tombstones of a change cost, in an environment of many partitions. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { watchDatabase, type WatchedDatabase } from '../../shared/testing/watched-database.ts';
import type { Scope } from '../../../core/partitions/partition.ts';
import { assignRevisions } from '../changes/revision.ts';
import type { Flag } from '../flags/flag.ts';
import { lockFlag, saveFlags } from '../flags/flag-store.ts';
import { FlagsUnderTest } from '../testing/flags-under-test.ts';

const MANY = 500;
const models = Array.from({ length: MANY }, (_, index) => `Model ${String(index).padStart(3, '0')}`);

let flags: FlagsUnderTest;
let watched: WatchedDatabase;
beforeAll(async () => {
  flags = await FlagsUnderTest.start();
  watched = await watchDatabase(flags.database.url);
});
afterAll(async () => {
  await watched.close();
  await flags.remove();
});

/** Makes a change of a flag, and gives the statements of its revision and tombstones. */
async function statementsOf(key: string, edit: (flag: Flag) => Flag): Promise<number> {
  return watched.prisma.$transaction(async (tx) => {
    const before = await lockFlag(tx, { key });
    if (before === null) throw new Error(`No flag ${key}`);
    const from = watched.statements.length;
    const [after = before] = await assignRevisions(tx, flags.signer, [{ before, after: edit(before), isStop: false }]);
    const count = watched.statements.length - from;
    await saveFlags(tx, [{ before, after }]);
    return count;
  });
}

const scoped =
  (scope: Scope) =>
  (flag: Flag): Flag => ({ ...flag, scope });
const archived = (flag: Flag): Flag => ({ ...flag, archivedAt: new Date() });
const unarchived = (flag: Flag): Flag => ({ ...flag, archivedAt: null });
const moved = (flag: Flag): Flag => ({
  ...flag,
  environment: flag.environment === 'staging' ? 'production' : 'staging',
});

/** Each way by which a flag leaves partitions or comes into them. `wide` is the widest scope that it has. */
const ways = (wide: Scope) => [
  scoped(['Model 000']),
  scoped(wide),
  scoped(['Model 001']),
  archived,
  unarchived,
  scoped(wide),
  archived,
  unarchived,
  moved,
  moved,
  scoped(null),
  archived,
  (flag: Flag) => ({ ...unarchived(flag), scope: ['Model 000'] }),
];

async function costs(wide: Scope): Promise<number[]> {
  const { key } = await flags.create();
  const counts: number[] = [];
  for (const way of ways(wide)) counts.push(await statementsOf(key, way));
  return counts;
}

test('a change costs as many statements in an environment of hundreds of partitions as in one of two', async () => {
  const few = await costs(['Model 000', 'Model 001']);
  const { key } = await flags.create({ scope: models });
  expect(await costs(models)).toEqual(few);

  // One tombstone for each partition, all the same.
  await statementsOf(key, scoped(['Model 000']));
  const left = await flags.prisma.flagTombstone.findMany({ where: { key }, orderBy: { partition: 'asc' } });
  expect(left.map(({ partition }) => partition)).toEqual(models.slice(1));
}, 60_000);
