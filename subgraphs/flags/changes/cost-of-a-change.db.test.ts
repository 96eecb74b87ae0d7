/** The reads of a change to a flag of one model: no other flags than those of its partition. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { isObject } from '../../../core/json/json-value.ts';
import { FlagsUnderTest } from '../testing/flags-under-test.ts';
import { startWatchedInstance, type WatchedInstance } from '../testing/watched-instance.ts';

const MODEL = 'Model 0';
const OF_EACH_MODEL = 30;
const OTHER_FLAGS = 3_000;

const VEHICLE = { kind: 'vehicle', vin: 'KMHK281HGNU000001', environment: 'staging', partition: MODEL } as const;
const SYNC = 'query { flagSync(environment: STAGING) { revision full } }';
const UPDATE =
  'mutation ($key: String!, $input: UpdateFlagInput!) { updateFlag(key: $key, input: $input) { applied } }';
const CREATE = 'mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }';

let flags: FlagsUnderTest;
let instance: WatchedInstance;
let client: Client;
beforeAll(async () => {
  flags = await FlagsUnderTest.start();
  client = new Client({ connectionString: flags.database.url });
  await client.connect();
});
afterAll(async () => {
  await instance.stop();
  await client.end();
  await flags.remove();
});

/** Puts flags into an environment without the service, because only a change beside them is under test. */
async function fill(environment: string, count: number, revision: number, model: (index: number) => string | null) {
  const key = flags.newKey();
  const rows = Array.from({ length: count }, (_, index) => {
    const of = model(index);
    const scope = of === null ? null : [of];
    return { key: `${key}_${index}`, revision: revision - count + index + 1, scope };
  });
  await flags.prisma.$executeRaw`
    INSERT INTO flags (key, name, type, default_value, enabled, safety_level, environment, revision, signed_definition, scope)
    SELECT key, key, 'boolean', '{"value": false}', true, 'Non-Critical', ${environment}, revision, 'a.b.c', scope
    FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) AS given (key text, revision bigint, scope text[])`;
}

const otherModel = (index: number) => `Model ${1 + Math.floor(index / OF_EACH_MODEL)}`;

/** Counts the rows of flags that a plan has visited, whether it has given them or not. */
function visited(node: unknown): number {
  if (!isObject(node)) return 0;
  const number = (name: string) => Number(node[name] ?? 0);
  const rows = number('Actual Rows') + number('Rows Removed by Filter') + number('Rows Removed by Index Recheck');
  const below = Array.isArray(node['Plans']) ? node['Plans'].reduce((sum: number, one) => sum + visited(one), 0) : 0;
  return below + (node['Relation Name'] === 'flags' ? rows * number('Actual Loops') : 0);
}

/** Gives how many rows of flags the statements of `work` visit, until the change is in what vehicles get. */
async function rowsOf(work: () => Promise<unknown>): Promise<number> {
  await instance.ask(VEHICLE, SYNC);
  const from = instance.database.statements.length;
  await work();
  const { errors } = await instance.ask(VEHICLE, SYNC);
  expect(errors).toEqual([]);
  const reads = instance.database.statements
    .slice(from)
    .filter(({ query }) => /\bflags\b/.test(query) && !/\b(?:INSERT INTO|UPDATE \w+ SET|DELETE FROM)\b/.test(query));
  expect(reads.length).toBeGreaterThan(2);
  let rows = 0;
  for (const { query, params } of reads) {
    await client.query('BEGIN');
    const explained = await client.query<{ 'QUERY PLAN': readonly { readonly Plan: unknown }[] }>(
      `EXPLAIN (ANALYZE, FORMAT JSON) ${query}`,
      params,
    );
    await client.query('ROLLBACK');
    rows += visited(explained.rows[0]?.['QUERY PLAN'][0]?.Plan);
  }
  return rows;
}

/** Makes one change of each kind, and gives the rows that it costs. */
async function costs(): Promise<Readonly<Record<string, number>>> {
  const key = flags.newKey();
  const costs: Record<string, number> = {};
  const change = async (name: string, query: string, variables: Record<string, unknown> = { key }) => {
    costs[name] = await rowsOf(async () => {
      const { errors } = await instance.ask(flags.writer, query, variables);
      expect(errors).toEqual([]);
    });
  };
  const required = flags.newKey();
  const born = {
    ...{ type: 'BOOLEAN', defaultValue: false, safetyLevel: 'NON_CRITICAL', environment: 'STAGING' },
    scope: [MODEL],
  };
  await change('of a new flag', CREATE, { input: { ...born, key, name: 'A' } });
  await change('of another', CREATE, { input: { ...born, key: required, name: 'B' } });
  await change('of a description', UPDATE, { key, input: { description: 'Longer than before' } });
  await change('of what it requires', UPDATE, { key, input: { requires: [{ flagKey: required }] } });
  await change(
    'of a rule with a variant',
    'mutation ($key: String!) { createRule(flagKey: $key, input: { type: VEHICLE_TARGET, conditions: { regions: ["EU"] }, value: true, variant: "b" }) { applied } }',
  );
  await change('to on', 'mutation ($key: String!) { enableFlag(key: $key) { applied } }');
  await change(
    'by a kill switch',
    'mutation ($key: String!) { killSwitch(flagKey: $key, reason: "Fault in the field") { applied } }',
  );
  return costs;
}

test('a change reads the flags of its partition at most, where other models have thousands', async () => {
  await fill('staging', OF_EACH_MODEL, OF_EACH_MODEL, (index) => (index % 3 === 0 ? null : MODEL));
  const revision = OF_EACH_MODEL + OTHER_FLAGS;
  await fill('staging', OTHER_FLAGS, revision, otherModel);
  await flags.prisma.$executeRaw`UPDATE environments SET revision = ${revision} WHERE name = 'staging'`;
  // Another environment that is far ahead lets a planner believe that most flags have changed.
  await fill('production', OTHER_FLAGS, 1_000_000, otherModel);
  await flags.prisma.$executeRaw`ANALYZE flags`;
  instance = await startWatchedInstance(flags);
  const dear = Object.entries(await costs()).filter(([, rows]) => rows > 2 * OF_EACH_MODEL);
  expect(dear).toEqual([]);
});
