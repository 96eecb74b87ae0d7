import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { openDatabase } from '../../../shared/postgres/database.ts';
import { deployMigrations, rollBackMigrations } from '../../../shared/postgres/schema/migrations.ts';
import { createBareDatabase, dropDatabase } from '../../../shared/testing/test-database.ts';
import { NO_EVIDENCE } from '../../statistics/evidence/effect-evidence.ts';
import { findState, type ExperimentState } from './experiment-state.ts';

/** The migration that gave running experiments their evidence, and the one that corrected which rule was taken. */
const [EVIDENCE, CORRECTED] = ['20261128100000_experiment_evidence', '20261128130000_experiment_draws_of_before'];
const NAMES = readdirSync(fileURLToPath(new URL('../../../../prisma/migrations', import.meta.url)), {
  withFileTypes: true,
}).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));

let url: string;
let client: Client;
let flags = 0;

beforeEach(async () => {
  url = await createBareDatabase(process.env['FLEETFLAG_TEST_TEMPLATE']);
  client = new Client({ connectionString: url });
  await client.connect();
});

afterEach(async () => {
  await client.end();
  await dropDatabase(url);
});

/** Takes back a migration and all later ones. */
const backTo = (name: string | undefined) =>
  rollBackMigrations({ url }, NAMES.filter((other) => name !== undefined && other >= name).length);

interface OldRule {
  readonly salt?: string;
  readonly priority: number;
  readonly enabled?: boolean;
  readonly type?: string;
}

const idOf = async (query: string, values: readonly unknown[]): Promise<string> => {
  const { rows } = await client.query<{ id: string }>(`${query} RETURNING id`, [...values]);
  return rows[0]?.id ?? '';
};

/** Writes a flag with its rules and an experiment, as the tables had them before the migrations. */
async function experimentOf(
  rules: readonly OldRule[],
  { status = 'running', share = 0.125, metric = 'charge_minutes' } = {},
): Promise<{ readonly id: string; readonly key: string; readonly flagId: string }> {
  const key = `flag_${++flags}`;
  const flagId = await idOf(
    `INSERT INTO flags (key, name, type, default_value, safety_level, environment, enabled) VALUES ($1, $1, 'boolean', '{"value": false}', 'Non-Critical', 'staging', true)`,
    [key],
  );
  for (const { salt, priority, enabled = true, type = 'percentage_rollout' } of rules)
    await client.query('INSERT INTO rules (flag_id, type, priority, enabled, conditions) VALUES ($1, $2, $3, $4, $5)', [
      flagId,
      type,
      priority,
      enabled,
      JSON.stringify({ rollout_percentage: 12.5, ...(salt !== undefined && { salt }) }),
    ]);
  const id = await idOf(
    `INSERT INTO experiments (flag_id, name, status, start_date, sample_size, primary_metric, treatment_share) VALUES ($1, 'Before', $2, now() - interval '2 days', 100, $3, $4)`,
    [flagId, status, metric, status === 'draft' ? null : share],
  );
  return { id, key, flagId };
}

async function stateOf(id: string): Promise<ExperimentState> {
  const database = await openDatabase({ url, maxConnections: 1 });
  try {
    return await findState(database.prisma, id);
  } finally {
    await database.close();
  }
}

test('an experiment that ran before goes on by the draw of the rule that decides, and by what is declared', async () => {
  await backTo(EVIDENCE);
  await client.query(
    `INSERT INTO metric_definitions (key, kind, minimum, maximum, window_ms) VALUES ('energy', 'mean', 0, 90, 3600000)`,
  );
  const plain = await experimentOf([{ priority: 3 }], { metric: 'energy' });
  // The enabled rollout rule with the highest priority decides, wherever it was written; others decide nothing.
  const decidedByLast = await experimentOf([
    { salt: 'low', priority: 1 },
    { salt: 'off', priority: 9, enabled: false },
    { salt: 'list', priority: 8, type: 'vehicle_target' },
    { salt: 'high', priority: 5 },
  ]);
  const decidedByFirst = await experimentOf([
    { salt: 'high', priority: 5 },
    { salt: 'low', priority: 1 },
  ]);
  const ofKey = await experimentOf([{ salt: 'low', priority: 1 }, { priority: 5 }]);
  const none = await experimentOf([]);
  const others = [await experimentOf([], { status: 'draft' }), await experimentOf([], { status: 'completed' })];
  await deployMigrations({ url });

  const begun = { threshold: 12_500, definition: null, calibration: null, evidence: NO_EVIDENCE };
  expect(await stateOf(plain.id)).toEqual({
    ...begun,
    salt: plain.key,
    definition: {
      key: 'energy',
      kind: 'mean',
      unit: null,
      minimum: 0,
      maximum: 90,
      better: null,
      cap: null,
      window: 3_600_000,
    },
  });
  expect(await stateOf(decidedByLast.id)).toEqual({ ...begun, salt: 'high' });
  expect(await stateOf(decidedByFirst.id)).toEqual({ ...begun, salt: 'high' });
  expect(await stateOf(ofKey.id)).toEqual({ ...begun, salt: ofKey.key });
  expect(await stateOf(none.id)).toEqual({ ...begun, salt: none.key });
  for (const { id } of others) await expect(stateOf(id)).rejects.toThrow();
});

test('the correction resets the evidence of experiments that got the salt of a wrong rule, and leaves those alone that started or were disturbed later', async () => {
  await backTo(CORRECTED);
  const rules = [
    { salt: 'low', priority: 1 },
    { salt: 'high', priority: 5 },
  ];
  const gathered = { ...NO_EVIDENCE, logHigher: 4 };
  const range = { kind: 'mean', range: { low: 0, high: 1, centres: [] } };
  const withState = async (salt: string) => {
    const experiment = await experimentOf(rules);
    const state = { salt, threshold: 12_500, definition: null, calibration: range, evidence: gathered };
    await client.query('INSERT INTO experiment_evidence (experiment_id, state, updated_at) VALUES ($1, $2, now())', [
      experiment.id,
      JSON.stringify(state),
    ]);
    return experiment;
  };
  const wrong = await withState('low');
  const right = await withState('high');
  // One that started since then, and one whose flag was changed since then: their draws are those of their starts.
  const later = await withState('low');
  await client.query(`UPDATE experiments SET start_date = now() + interval '1 minute' WHERE id = $1`, [later.id]);
  const changed = await withState('low');
  await client.query(`INSERT INTO experiment_disturbances (experiment_id, action) VALUES ($1, 'UPDATE_RULE')`, [
    changed.id,
  ]);
  await deployMigrations({ url });

  const kept = { salt: 'low', calibration: range, evidence: gathered };
  expect(await stateOf(wrong.id)).toMatchObject({ salt: 'high', calibration: null, evidence: NO_EVIDENCE });
  expect(await stateOf(right.id)).toMatchObject({ ...kept, salt: 'high' });
  expect(await stateOf(later.id)).toMatchObject(kept);
  expect(await stateOf(changed.id)).toMatchObject(kept);
});
