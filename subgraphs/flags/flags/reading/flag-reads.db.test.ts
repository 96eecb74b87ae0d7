import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import type { Ask } from '../../../shared/testing/asking.ts';
import { rounds } from '../../../../core/testing/rounds.ts';
import { FlagsUnderTest } from '../../testing/flags-under-test.ts';
import { startWatchedInstance, type WatchedInstance } from '../../testing/watched-instance.ts';

const READ = `query ($key: String!) {
  flag(key: $key) { revision rules { id } }
  flags(filter: { keyPrefix: $key }) { totalCount nodes { revision rules { id } } }
  changed: flags(filter: { environment: STAGING }, orderBy: { field: UPDATED_AT, direction: DESC }, first: 1) { nodes { revision rules { id } } }
  evaluateFlag(key: $key, context: {}) { revision }
}`;

interface Read {
  readonly flag: { readonly revision: number; readonly rules: readonly object[] };
  readonly flags: { readonly totalCount: number; readonly nodes: readonly object[] };
  readonly changed: { readonly nodes: readonly object[] };
  readonly evaluateFlag: { readonly revision: number };
}

let flags: FlagsUnderTest;
/** Another instance on the same database, which no announcement reaches. */
let other: WatchedInstance;

beforeAll(async () => {
  flags = await FlagsUnderTest.start();
  other = await startWatchedInstance(flags);
});
afterAll(async () => {
  await other.stop();
  await flags.remove();
});
afterEach(() => {
  flags.bus.lost = false;
});

async function read(ask: Ask, key: string): Promise<Read> {
  const { data, errors } = await ask<Read>(flags.writer, READ, { key });
  expect(errors).toEqual([]);
  return data;
}

test('a read contains everything committed before its request, on this instance and on every other', async () => {
  flags.bus.lost = true;
  const { key } = await flags.create();
  for (let round = 1; round <= rounds(10, 100); round++) {
    const { revision, rules } = await flags.addRule(key, {
      type: 'VEHICLE_TARGET',
      priority: round,
      conditions: { regions: ['EU'] },
    });
    const flag = { revision, rules: rules.map(({ id }) => ({ id })) };
    for (const found of await Promise.all([flags.ask, other.ask].map((ask) => read(ask, key))))
      expect(found).toEqual({
        flag,
        flags: { totalCount: 1, nodes: [flag] },
        changed: { nodes: [flag] },
        evaluateFlag: { revision },
      });
  }
});

test('many reads at once share their statements, and read a change once', async () => {
  const { key } = await flags.create();
  await read(other.ask, key);
  await flags.addRule(key, { type: 'VEHICLE_TARGET', conditions: { regions: ['EU'] } });
  const from = other.database.statements.length;
  const begun = performance.now();
  const found = await Promise.all(Array.from({ length: 400 }, () => read(other.ask, key)));
  const seconds = (performance.now() - begun) / 1_000;
  for (const { flag } of found) expect(flag.rules).toHaveLength(1);
  const statements = other.database.statements.slice(from).map(({ query }) => query);
  expect(statements.filter((query) => query.includes('"checkOfFlag"'))).toHaveLength(1);
  // Reads of the environments' revisions begin at least 5 ms apart. Those of the feed, one a second, are among them.
  expect(statements.length).toBeLessThanOrEqual(Math.min(200, 201 * seconds + 3));
});
