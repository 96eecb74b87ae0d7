/** The whole public schema against input that nobody means: none is a fault of ours, and none is half done. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ERROR_CATALOGUE } from '../core/errors.ts';
import { readApiSchema } from '../gateway/composition/supergraph.ts';
import { eventually } from '../core/testing/eventually.ts';
import { rounds } from '../core/testing/rounds.ts';
import { WireClient } from '../gateway/subscriptions/testing/wire-client.ts';
import { EveryCaller, SAMPLE_VIN } from './testing/every-caller.ts';
import { HostileOperations, type HostileOperation } from './testing/hostile-operation.ts';
import type { CallerName } from './testing/permission-matrix.ts';

const API = readApiSchema();
const OPERATIONS = rounds(120, 5_000);
const SEED = 20_261_128;
/** The mutations that may write to the audit log although they are refused: a failed sign-in, the end of a session. */
const RECORDS_REFUSALS = new Set(['Mutation.login', 'Mutation.logout', 'Mutation.changePassword']);
/** The operations that only a vehicle may use. */
const OF_VEHICLES = new Set([
  'Mutation.agentHeartbeat',
  'Mutation.backUpVehicleState',
  'Mutation.reportMetrics',
  'Query.vehicleBackup',
  'Query.vehicleFacts',
]);
/** The operations that are tried seldom, because they are expensive: they hash passwords, or read whole tables. */
const SELDOM = new Set([
  'Mutation.login',
  'Mutation.changePassword',
  'Mutation.createUser',
  'Mutation.logout',
  'Query.auditIntegrity',
  'Query.databaseHealth',
]);
/** The codes that a refusal may have. The others need a fault, a store that is down, or wrong credentials. */
const ALLOWED_REFUSALS = new Set(
  Object.keys(ERROR_CATALOGUE).filter(
    (code) => !['INTERNAL_SERVER_ERROR', 'SERVICE_UNAVAILABLE', 'UNAUTHENTICATED'].includes(code),
  ),
);

const SUBSCRIPTIONS = rounds(60, 400);
/** The subscriptions on one socket, beside those by which the test knows that all have begun. */
const AT_ONCE = 8;
/** The close codes for a socket that breaks the protocol or its limits, and 1005, with which the test itself closes. */
const ALLOWED_CLOSES = new Set([1005, 1009, 4400, 4408, 4409, 4429]);

let every: EveryCaller;
let operations: fc.Arbitrary<HostileOperation>;
let subscriptions: fc.Arbitrary<HostileOperation>;

interface Answer {
  readonly data?: Readonly<Record<string, unknown>> | null;
  readonly errors?: readonly {
    readonly message: string;
    readonly path?: readonly (string | number)[];
    readonly extensions?: { readonly code?: unknown };
  }[];
}

/**
 * Says whether a mutation was refused. A fault whose path goes beyond the mutation's own field is one of a field that
 * was asked of its result: then the change is made, and only the answer is missing.
 */
function isRefused({ errors, data }: Answer): boolean {
  if (errors === undefined || Object.values(data ?? {}).some((value) => value !== null)) return false;
  return errors.every(({ path = [] }) => path.length <= 1);
}

async function post(body: string, caller: CallerName): Promise<Answer> {
  const { headers } = await every.as(caller);
  const response = await fetch(every.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  });
  return (await response.json()) as Answer;
}

async function admin(query: string): Promise<Answer> {
  const answer = await post(JSON.stringify({ query }), 'ADMIN');
  if (answer.errors !== undefined) throw new Error(JSON.stringify(answer.errors));
  return answer;
}

beforeEach(async () => {
  every = await EveryCaller.start();
  const common = 'safetyLevel: NON_CRITICAL, enabled: true';
  for (const [key, type, value, environment] of [
    ['lane_keep', 'BOOLEAN', 'false', 'PRODUCTION'],
    ['eco_mode', 'JSON', '{ mode: "eco" }', 'STAGING'],
    ['wiper', 'STRING', '"slow"', 'PRODUCTION'],
    ['gain', 'NUMBER', '0.5', 'DEVELOPMENT'],
  ]) {
    await admin(
      `mutation { createFlag(input: { key: "${key}", name: "${key}", type: ${type}, defaultValue: ${value}, environment: ${environment}, ${common} }) { applied } }`,
    );
  }
  await admin(
    'mutation { createFlag(input: { key: "brake", name: "Brake", type: BOOLEAN, defaultValue: false, environment: PRODUCTION, safetyLevel: ASIL_D }) { applied } }',
  );
  for (const key of ['lane_keep', 'eco_mode'])
    await admin(
      `mutation { createRule(flagKey: "${key}", input: { type: PERCENTAGE_ROLLOUT, conditions: { rollout_percentage: 5 } }) { applied } }`,
    );
  await admin(
    'mutation { createExperiment(input: { flagKey: "lane_keep", name: "E", startDate: "2040-01-01T00:00:00Z", sampleSize: 10, primaryMetric: "m" }) { id } }',
  );
  await admin('mutation { createApiKey(input: { name: "Acme", role: READ }) { apiKey { id } } }');
  const { prisma } = every;
  const ids = async (rows: Promise<readonly { id: string }[]>) => (await rows).map(({ id }) => id);
  const select = { id: true } as const;
  // Not the administrator who asks: a demoted one could ask no more.
  const users = await ids(prisma.user.findMany({ select, where: { role: { not: 'ADMIN' } } }));
  const rules = await ids(prisma.rule.findMany({ select }));
  const others = [
    ids(prisma.experiment.findMany({ select })),
    ids(prisma.changeRequest.findMany({ select })),
    ids(prisma.apiKey.findMany({ select, where: { name: 'Acme' } })),
  ];
  const present = {
    key: ['lane_keep', 'eco_mode', 'wiper', 'gain', 'brake', 'new_1', 'new_2', 'LANE_KEEP'],
    flagKey: ['lane_keep', 'eco_mode', 'wiper', 'gain', 'brake', 'new_1'],
    keyPrefix: ['lane', 'LANE', '%'],
    id: [...users, ...rules, ...(await Promise.all(others)).flat()],
    ruleId: rules,
    userId: users,
    vin: [SAMPLE_VIN, 'KMHK281HGNU000077'],
    vins: [SAMPLE_VIN],
    model: ['EV9', ' EV9 '],
    region: ['EU', 'eu'],
    swVersion: ['2.5.0', '2.5.0.17', '>=2 <3', '2.4 - 2.6'],
    search: ['lane', 'keep -lane', '"lane keep" or eco', 'Ｌane'],
    name: ['Lane keeping', ' Lane '],
    reason: ['smoke'],
    comment: ['as discussed'],
    email: ['somebody@example.com', 'admin@example.com'],
    password: ['correct horse battery staple'],
    variant: ['treatment', 'arm-b'],
    metric: ['corrections_per_hour', '$evaluations'],
    metricName: ['corrections_per_hour', '$evaluations'],
    primaryMetric: ['corrections_per_hour'],
    batchId: ['b1', 'b2'],
    action: ['CREATE_FLAG'],
    sampleSize: [10, 2],
    confidenceLevel: [0.95],
    percentage: [10, 20, 100],
    after: [Buffer.from(rules[0] ?? '').toString('base64url'), Buffer.from(SAMPLE_VIN).toString('base64url')],
    before: [Buffer.from(rules[0] ?? '').toString('base64url'), Buffer.from(SAMPLE_VIN).toString('base64url')],
    manifest: [
      {
        format: 'apollo-persisted-query-manifest',
        version: 1,
        operations: [{ id: 'm', name: 'M', type: 'query', body: 'query M { fleet { total } }' }],
      },
      { format: 'apollo-persisted-query-manifest', version: 1, operations: [{}] },
      { a: 'query A { me { kind } }', b: '{' },
    ],
  };
  const hostile = new HostileOperations(present);
  const fields = [
    ...Object.values(API.getQueryType()!.getFields()).map((field) => ['query', field] as const),
    ...Object.values(API.getMutationType()!.getFields()).map((field) => ['mutation', field] as const),
  ];
  subscriptions = fc.oneof(
    ...Object.values(API.getSubscriptionType()!.getFields()).map((field) => hostile.on('subscription', field)),
  );
  operations = fc.oneof(
    ...fields.map(([kind, field]) => ({
      weight: SELDOM.has(`${kind === 'query' ? 'Query' : 'Mutation'}.${field.name}`) ? 1 : 20,
      arbitrary: hostile.on(kind, field),
    })),
    {
      weight: 5,
      arbitrary: fc
        .constantFrom(
          '{ __type(name: "FlagFilter") { isOneOf } }',
          '{ __schema { types { isOneOf } } }',
          '{ me { kind } __typename }',
        )
        .map((query) => ({ field: 'Query.__type', body: JSON.stringify({ query }) })),
    },
  );
});
afterEach(() => every?.close());

/** All that people and vehicles have written, as one text, and the length of the audit log. */
async function state(): Promise<{ readonly content: string; readonly trail: number; readonly revisions: string }> {
  const [row] = await every.prisma.$queryRaw<{ content: string; trail: bigint; revisions: string }[]>`
    SELECT md5(concat(
      (SELECT string_agg(to_jsonb(f)::text, ',' ORDER BY id) FROM (SELECT * FROM flags) f), (SELECT string_agg(to_jsonb(r)::text, ',' ORDER BY id) FROM rules r),
      (SELECT string_agg(to_jsonb(e)::text, ',' ORDER BY name) FROM environments e), (SELECT string_agg(to_jsonb(t)::text, ',' ORDER BY environment, key) FROM flag_tombstones t),
      (SELECT string_agg(to_jsonb(c)::text, ',' ORDER BY id) FROM change_requests c), (SELECT string_agg(to_jsonb(o)::text, ',' ORDER BY id) FROM rollouts o),
      (SELECT string_agg(to_jsonb(v)::text, ',' ORDER BY vin) FROM vehicles v), (SELECT string_agg(to_jsonb(x)::text, ',' ORDER BY id) FROM experiments x),
      (SELECT string_agg(concat(id, name, role, is_active, expires_at), ',' ORDER BY id) FROM api_keys), (SELECT string_agg(concat(id, email, name, role, is_active, department, password_hash), ',' ORDER BY id) FROM users),
      (SELECT string_agg(id, ',' ORDER BY id) FROM persisted_operations))) AS content,
      (SELECT count(*) FROM audit_logs) AS trail,
      (SELECT string_agg(revision::text, ',' ORDER BY name) FROM environments) AS revisions`;
  return { content: row!.content, trail: Number(row!.trail), revisions: row!.revisions };
}

const shortened = (text: string) => (text.length > 1_500 ? `${text.slice(0, 1_500)}… (${text.length})` : text);

test(`of ${OPERATIONS} operations on every field none is a fault of ours, none is half done, and every refusal has a code`, async () => {
  const faults: unknown[] = [];
  const answered = new Set<string>();
  let before = await state();
  for (const { field, body } of fc.sample(operations, { numRuns: OPERATIONS, seed: SEED })) {
    const answer = await post(body, OF_VEHICLES.has(field) ? 'another vehicle' : 'ADMIN');
    const codes = (answer.errors ?? []).map(({ extensions }) => String(extensions?.code));
    const isSignIn = field === 'Mutation.login';
    if (codes.some((code) => !ALLOWED_REFUSALS.has(code) && !(isSignIn && code === 'UNAUTHENTICATED')))
      faults.push({ field, body: shortened(body), errors: answer.errors });
    if (answer.errors === undefined) answered.add(field);
    if (!field.startsWith('Mutation.')) continue;
    const refused = isRefused(answer);
    const after = await state();
    if (refused && !RECORDS_REFUSALS.has(field) && after.content !== before.content)
      faults.push({ field, body: shortened(body), errors: answer.errors, fault: 'refused, and something has changed' });
    if (refused && !RECORDS_REFUSALS.has(field) && after.trail !== before.trail)
      faults.push({ field, body: shortened(body), errors: answer.errors, fault: 'refused, and recorded' });
    if (after.revisions !== before.revisions && after.trail === before.trail)
      faults.push({ field, body: shortened(body), fault: 'changed, and not recorded' });
    before = after;
  }
  expect({ count: faults.length, faults: faults.slice(0, 20) }).toEqual({ count: 0, faults: [] });

  // What was meant got through: else nothing has been tried but the parser.
  if (OPERATIONS >= 10_000) expect(answered.size).toBeGreaterThan(30);
  const rows = await every.prisma.$queryRaw<{ name: string; revision: bigint; highest: bigint }[]>`
    SELECT e.name, e.revision, GREATEST((SELECT max(revision) FROM flags f WHERE f.environment = e.name AND archived_at IS NULL), (SELECT max(revision) FROM flag_tombstones t WHERE t.environment = e.name)) AS highest FROM environments e`;
  for (const { name, revision, highest } of rows) expect({ name, revision }).toEqual({ name, revision: highest });
  const { data } = await admin('{ auditIntegrity { intact } }');
  expect(data).toEqual({ auditIntegrity: { intact: true } });
}, 1_200_000);

/** Something for every subscription to tell of. */
async function somethingHappens(round: number): Promise<void> {
  await admin(
    `mutation {
      ${['lane_keep', 'eco_mode', 'gain'].map((key, index) => `f${index}: updateFlag(key: "${key}", input: { description: "${round}" }) { applied }`).join(' ')}
      request: updateFlag(key: "wiper", input: { safetyLevel: ASIL_D }) { applied }
      vehicle: setVehicleMaintenance(vin: "${SAMPLE_VIN}", maintenance: ${round % 2 === 0}) { vin }
    }`,
  );
}

test(`of ${SUBSCRIPTIONS} subscriptions on every field none is a fault of ours, and none ends a process`, async () => {
  const unforeseen: unknown[] = [];
  const note = (error: unknown) => void unforeseen.push(error);
  process.on('unhandledRejection', note).on('uncaughtExceptionMonitor', note);
  const faults: unknown[] = [];
  const answered = new Set<string>();
  let happened = 0;
  const hostile = fc.sample(subscriptions, { numRuns: SUBSCRIPTIONS, seed: SEED });
  for (let round = 0; round * AT_ONCE < hostile.length; round++) {
    const batch = hostile.slice(round * AT_ONCE, (round + 1) * AT_ONCE);
    const caller = round % 4 === 3 ? 'another vehicle' : 'ADMIN';
    const client = await new WireClient(every.url.replace('http', 'ws')).acknowledged((await every.as(caller)).headers);
    batch.forEach(({ body }, index) => client.send(`{"id":"${index}","type":"subscribe","payload":${body}}`));
    // The environment of this vehicle is STAGING; others are not its own to watch.
    const known = ['flagChanges(environment: STAGING) { revision }', 'vehicleStatusChanges { vin }'];
    known.forEach((field, index) => client.subscribe(`known ${index}`, `subscription { ${field} }`));
    const hasEvent = (_: string, index: number) =>
      client.received.some(({ id, type }) => id === `known ${index}` && (type === 'next' || type === 'error'));
    // A closed socket gets no more events.
    await eventually(async () => {
      await somethingHappens(happened++);
      return client.closed !== null || known.every(hasEvent);
    });
    client.socket.close();
    const { code } = await client.close();
    if (!ALLOWED_CLOSES.has(code)) faults.push({ code, bodies: batch.map(({ body }) => shortened(body)) });
    batch.forEach(({ field, body }, index) => {
      const of = client.received.filter(({ id }) => id === String(index));
      const errors = of.flatMap(({ type, payload }) =>
        type === 'error' ? [...(payload ?? [])] : (payload?.errors ?? []),
      );
      if (errors.some(({ extensions }) => !ALLOWED_REFUSALS.has(String(extensions?.['code']))))
        faults.push({ field, caller, body: shortened(body), errors });
      if (of.some(({ type, payload }) => type === 'next' && payload?.errors === undefined)) answered.add(field);
    });
  }
  process.off('unhandledRejection', note).off('uncaughtExceptionMonitor', note);
  expect({ count: faults.length, faults: faults.slice(0, 20), unforeseen }).toEqual({
    count: 0,
    faults: [],
    unforeseen: [],
  });
  // Each subscription has had an event at least once. Otherwise only the parser would have been tried.
  expect([...answered].sort()).toEqual(
    Object.keys(API.getSubscriptionType()!.getFields())
      .map((name) => `Subscription.${name}`)
      .sort(),
  );
}, 1_200_000);
