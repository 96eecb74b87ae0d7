/**
 * The number of SQL statements of operations: frequent ones need none of their own, and no list needs one for each row.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { getNamedType, isLeafType, isObjectType, type GraphQLField, type GraphQLObjectType } from 'graphql';
import { sampled } from '../core/testing/rounds.ts';
import { readApiSchema } from '../gateway/composition/supergraph.ts';
import { watchDatabase, type WatchedDatabase } from '../subgraphs/shared/testing/watched-database.ts';
import { EveryCaller, SAMPLE_VIN } from './testing/every-caller.ts';
import { sampleOperation, type Samples } from './testing/sample-operation.ts';

const FLAG = 'feature_0';
/** Samples of queries whose arguments of the same names are of another kind. */
const OWN_SAMPLES: Readonly<Record<string, Samples>> = { previewSegment: { conditions: { regions: ['EU'] } } };
const SAMPLES: Samples = {
  key: FLAG,
  flagKey: FLAG,
  vin: SAMPLE_VIN,
  environment: 'PRODUCTION',
  conditions: { rollout_percentage: 5 },
  nonce: 'AAECAwQFBgcICQoLDA0ODw',
  metric: 'm',
  from: '2040-01-01T00:00:00Z',
  to: '2040-01-02T00:00:00Z',
};

const samplesOf = (path: string): Samples => ({ ...SAMPLES, ...OWN_SAMPLES[path.split('.')[0] ?? path] });

/**
 * The statements of jobs and polls, and the reads of the environments' positions, for which answers wait and which
 * concurrent requests share.
 */
const BACKGROUND = [
  /prepared as partition_news/,
  /FROM environments$/,
  /^\/\* prepared as answer_inputs \*\//,
  /^SELECT position::float8 AS position FROM audit_chain/,
  /chain_position > \S+ AND chain_position <= \S+ ORDER BY/,
  /tokens_revoked_at IS NOT NULL/,
  /_min\$due_at|FROM releases WHERE ended_at IS NULL AND due_at|^UPDATE releases SET stage_started_at/,
  /^UPDATE releases SET status = 'holding', reason = \$1 WHERE ended_at/,
  /^SELECT .*FROM releases r (?:JOIN flags fl ON|JOIN release_verdicts|CROSS JOIN LATERAL generate_series)/,
  /_min\$next_step_at|FROM rollouts r (?:LEFT )?JOIN rollout_guards/,
  /gateway_leases|vehicle_connections|^WITH gone AS/,
  /^SELECT e\.id FROM experiments e JOIN experiment_evidence/,
  /^WITH free AS|webhook_checks|FROM webhooks w WHERE|DELETE FROM (?:webhook|vehicle_backups)|^DELETE FROM vehicle_faults/,
  /^SELECT key FROM segments s WHERE/,
  /^SELECT clock_timestamp\(\) AS now$/,
  /^(?:BEGIN|COMMIT)$/,
];

/** Queries that only a vehicle may make. */
const VEHICLES_OWN = new Set(['vehicleFacts', 'vehicleBackup']);

const queries = readApiSchema().getQueryType()!.getFields();

let every: EveryCaller;
let watched: WatchedDatabase;

beforeAll(async () => {
  every = await EveryCaller.start(async (url, lifecycle) => {
    watched = await watchDatabase(url);
    lifecycle.onClose(() => watched.close());
    const { prisma } = watched;
    return {
      prisma,
      replicas: [],
      position: async () => 0n,
      lane: () => prisma,
      ping: async () => undefined,
      close: async () => undefined,
    };
  });
  await add(0, 2);
});
afterAll(() => every.close());

interface Answer {
  readonly data?: unknown;
  readonly errors?: readonly object[];
}

async function ask(query: string, variables: object = {}, caller: 'ADMIN' | 'vehicle' = 'ADMIN'): Promise<Answer> {
  const { headers } = await every.as(caller);
  const response = await fetch(every.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query, variables }),
  });
  return (await response.json()) as Answer;
}

async function done(query: string, variables: object = {}, caller?: 'ADMIN' | 'vehicle'): Promise<Answer> {
  const answer = await ask(query, variables, caller);
  expect(answer).not.toHaveProperty('errors');
  return answer;
}

/** Adds flags, vehicles, people, experiments, keys, webhooks and requests: some of each. */
async function add(from: number, to: number): Promise<void> {
  for (let n = from; n < to; n++) {
    const { id: author } = await every.prisma.user.create({
      data: { email: `author${n}@example.com`, name: `Author ${n}`, passwordHash: '-', role: 'WRITE' },
    });
    await done(
      `mutation { createFlag(input: { key: "feature_${n}", name: "Feature", type: BOOLEAN, defaultValue: false, safetyLevel: NON_CRITICAL, environment: PRODUCTION, enabled: true }) { applied } }`,
    );
    await done(
      `mutation { createRule(flagKey: "feature_${n}", input: { type: PERCENTAGE_ROLLOUT, conditions: { rollout_percentage: 5 } }) { applied } }`,
    );
    await done(
      `mutation { createExperiment(input: { flagKey: "feature_${n}", name: "E", sampleSize: 100, primaryMetric: "m", startDate: "2040-01-01T00:00:00Z" }) { id } }`,
    );
    await done(
      `mutation { createFlag(input: { key: "braking_${n}", name: "Braking", type: BOOLEAN, defaultValue: false, safetyLevel: ASIL_D, environment: PRODUCTION }) { changeRequest { id } } }`,
    );
    await done(
      `mutation { registerVehicles(input: [{ vin: "KMHK281HGNU1${String(n).padStart(5, '0')}", model: "EV9", swVersion: "2.5.0", region: "EU" }]) { vin } }`,
    );
    await done(`mutation { createApiKey(input: { name: "Partner ${n}", role: READ }) { apiKey { id } } }`);
    const { data } = await done(
      `mutation { createWebhook(input: { name: "W", url: "https://receiver.invalid/", kinds: [WEBHOOK_DISABLED] }) { webhook { id } } }`,
    );
    const { id: webhookId } = (data as { createWebhook: { webhook: { id: string } } }).createWebhook.webhook;
    await every.prisma.webhookDelivery.create({
      data: { webhookId, kind: 'webhook.disabled', payload: {}, status: 'failed' },
    });
    await every.prisma.flag.update({
      where: { key: `feature_${n}` },
      data: { createdById: author, updatedById: author },
    });
  }
  // The authors were written past the services.
  await every.prisma.environment.updateMany({ data: { updatedAt: new Date() } });
  const manifest = {
    format: 'apollo-persisted-query-manifest',
    version: 1,
    operations: Array.from({ length: to }, (_, n) => ({
      id: `operation${n}`,
      name: `Fleet${n}`,
      type: 'query',
      body: `query Fleet${n} { fleet { total } }`,
    })),
  };
  await done('mutation ($manifest: JSON!) { registerPersistedOperations(manifest: $manifest) { id } }', { manifest });
  // The first request reads what has changed.
  await done('{ flags { totalCount } }');
}

let asked = 0;

/**
 * Gives the statements of an operation, shortened, without what goes on anyway. Each is new to the gateway, which would
 * otherwise give again what it has computed before.
 */
async function statementsOf(query: string, variables: object = {}, caller?: 'ADMIN' | 'vehicle'): Promise<string[]> {
  const from = watched.statements.length;
  await done(`${query} # ${++asked}`, variables, caller);
  return watched.statements
    .slice(from)
    .map(({ query: text }) => text.replaceAll(/\s+/g, ' ').trim())
    .filter((text) => !BACKGROUND.some((pattern) => pattern.test(text)))
    .map((text) => text.slice(0, 120));
}

const RULES = 'rules { id type priority enabled conditions value variant }';
const PAGE = `{ flags(first: 30) { totalCount nodes { key name ${RULES} createdBy { name } updatedBy { name } history(first: 5) { totalCount nodes { action createdAt user { name } } } } } }`;

describe('operations that are asked often', () => {
  test.each<[string, string, number, ('ADMIN' | 'vehicle')?]>([
    ['a flag', `{ flag(key: "${FLAG}") { key enabled ${RULES} } }`, 0],
    [
      'a list of flags',
      `{ flags(first: 30, filter: { environment: PRODUCTION }) { totalCount nodes { key ${RULES} } } }`,
      0,
    ],
    [
      'flags by the time of their change',
      '{ flags(orderBy: { field: UPDATED_AT, direction: DESC }) { nodes { key } } }',
      0,
    ],
    [
      'an evaluation for given facts',
      `{ evaluateFlag(key: "${FLAG}", context: { vin: "${SAMPLE_VIN}", model: "EV9", swVersion: "2", region: "EU" }) { value } }`,
      0,
    ],
    [
      'an evaluation for a registered vehicle',
      `{ evaluateFlag(key: "${FLAG}", context: { vin: "${SAMPLE_VIN}" }) { value } }`,
      1,
    ],
    ['all evaluations', '{ evaluateFlags(environment: PRODUCTION, context: {}) { flagKey value } }', 0],
    // The histories, their counts, who changed the flags, and who is in the histories.
    ["the dashboard's page", PAGE, 4],
    ['a sync', '{ flagSync(environment: PRODUCTION, since: 1) { revision flags { key jws } proof } }', 0, 'vehicle'],
    ['a proof', '{ flagProof(environment: PRODUCTION) }', 0, 'vehicle'],
    ["a vehicle's facts", '{ vehicleFacts(nonce: "AAECAwQFBgcICQoLDA0ODw") }', 1, 'vehicle'],
    // The page's VINs and rows, and one statement for each environment of which partitions are asked.
    ['vehicles with their partitions', '{ vehicles(first: 30) { nodes { vin partition } } }', 4],
    [
      'vehicles with their partitions of an environment',
      '{ vehicles(first: 30) { nodes { vin partition(environment: PRODUCTION) } } }',
      3,
    ],
    ['a vehicle about itself', `{ vehicle(vin: "${SAMPLE_VIN}") { model status } }`, 1, 'vehicle'],
    ['who a vehicle is', '{ me { kind vin } }', 0, 'vehicle'],
    ['a heartbeat', 'mutation { agentHeartbeat(input: { agentMemoryMb: 50 }) }', 1, 'vehicle'],
    ['a backup', 'mutation { backUpVehicleState(input: { agent: "flags.db", content: "YQ==" }) }', 1, 'vehicle'],
    [
      'a report of faults',
      `mutation { reportFaults(input: { faults: [{ flagKey: "${FLAG}", revision: 1, kind: RESTARTS, message: "m", occurredAt: "2026-01-01T00:00:00Z" }] }) }`,
      1,
      'vehicle',
    ],
    ['flags with their faults', '{ flags(first: 30) { nodes { key faults { revision vehicles } } } }', 1],
    ['vehicles with their faults', '{ vehicles(first: 30) { nodes { vin faults { flagKey message } } } }', 3],
    ['the backup of a vehicle', '{ vehicleBackup(agent: "flags.db") { content digest backedUpAt } }', 1, 'vehicle'],
  ])('%s', async (...[, query, count, caller]) => {
    // The first one may read what has changed.
    await statementsOf(query, {}, caller);
    const statements = await statementsOf(query, {}, caller);
    expect({ count: statements.length, statements }).toEqual({ count, statements });
  });
});

type Field = GraphQLField<unknown, unknown>;

/** The path to each list of the schema. */
function lists(): Field[][] {
  return Object.values(queries).flatMap((field) => {
    const type = getNamedType(field.type);
    const nodes = isObjectType(type) ? type.getFields()['nodes'] : undefined;
    if (nodes !== undefined) return [[field, nodes]];
    return isObjectType(type) && String(field.type).startsWith('[') ? [[field]] : [];
  });
}

/** The path to each field of each list that is more than a column. */
const fieldsOfLists = () =>
  lists().flatMap((path) =>
    Object.values((getNamedType(path.at(-1)!.type) as GraphQLObjectType).getFields())
      .filter((field) => !isLeafType(getNamedType(field.type)) || field.args.length > 0)
      .map((field) => [...path, field]),
  );

test('no field of any list costs statements for each of its rows', async () => {
  const all = fieldsOfLists();
  expect(all.length).toBeGreaterThan(10);
  const paths = new Map(sampled(all, 6).map((path) => [path.map(({ name }) => name).join('.'), path]));
  const count = async (names: Iterable<string>) => {
    const counts: Record<string, number> = {};
    for (const name of names) {
      const { query, variables } = sampleOperation('query', paths.get(name)!, samplesOf(name));
      counts[name] = (await statementsOf(query, variables)).length;
    }
    return counts;
  };
  await count(paths.keys());
  const ofFew = await count(paths.keys());
  await add(2, 7);
  const ofMany = await count(paths.keys());
  // Jobs in the background can add a statement to either count, and take none away.
  const differing = () => [...paths.keys()].filter((name) => ofMany[name] !== ofFew[name]);
  for (let again = 0; again < 5 && differing().length > 0; again++)
    for (const [name, found] of Object.entries(await count(differing())))
      ofMany[name] = Math.min(ofMany[name] ?? Infinity, found);
  for (const name of differing()) expect([name, ofMany[name]! <= ofFew[name]!]).toEqual([name, true]);
});

/** The statements of each query with all its leaves, two levels deep. */
const STATEMENTS: Readonly<Record<string, number>> = {
  me: 1,
  metricDefinitions: 1,
  users: 2,
  auditLogs: 2,
  auditIntegrity: 2,
  databaseHealth: 4,
  // Among what the control plane reads by itself as well.
  gateways: 0,
  heartbeatQueue: 0,
  measurementQueue: 0,
  persistedOperations: 2,
  apiKeys: 2,
  webhooks: 2,
  webhookDeliveries: 2,
  experiment: 1,
  experiments: 2,
  requiredSampleSize: 0,
  node: 1,
  flag: 9,
  flags: 1,
  evaluateFlag: 0,
  evaluateFlags: 0,
  explainEvaluation: 0,
  flagVersions: 2,
  partitionLoad: 1,
  segment: 1,
  segments: 1,
  previewSegment: 3,
  releasePolicy: 1,
  releases: 2,
  changeRequests: 5,
  changeRequestCount: 1,
  flagSync: 0,
  flagProof: 0,
  vehicleFacts: 1,
  vehicleBackup: 1,
  vehicle: 3,
  vehicles: 5,
  fleet: 1,
  previewAudience: 2,
  rolloutProgress: 5,
};

test.each(Object.entries(queries))('%s costs as many statements as the table says', async (name, field) => {
  const { query, variables } = sampleOperation('query', [field], samplesOf(name));
  const statements = await statementsOf(query, variables, VEHICLES_OWN.has(name) ? 'vehicle' : undefined);
  expect({ count: statements.length, statements }).toEqual({ count: STATEMENTS[name], statements });
});

test('the table names each query of the schema, and no other', () => {
  expect(Object.keys(STATEMENTS).sort()).toEqual(Object.keys(queries).sort());
});
