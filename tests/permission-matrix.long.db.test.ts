/**
 * Every cell of docs/reference/permissions.md, tried: at a gateway with real credentials, and at the subgraphs with
 * genuine identities.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { getNamedType, isObjectType, isUnionType, type GraphQLField, type GraphQLSchema } from 'graphql';
import { PERMISSIONS } from '../core/access/permissions.ts';
import { SUBGRAPH_NAMES } from '../core/wire/subgraph/subgraph.ts';
import { readApiSchema } from '../gateway/composition/supergraph.ts';
import { WireClient, type WireError } from '../gateway/subscriptions/testing/wire-client.ts';
import { eventually } from '../core/testing/eventually.ts';
import { executeOn, subscribeOn } from '../subgraphs/shared/subgraph/in-process-connection.ts';
import { identityOf } from '../subgraphs/shared/testing/asking.ts';
import { EveryCaller, CALLERS_PASSWORD, SAMPLE_VIN, type CallerCredentials } from './testing/every-caller.ts';
import { CALLERS, readPermissionMatrix, type CallerName } from './testing/permission-matrix.ts';
import { sampleEntity, sampleOperation, type SampleOperation, type Samples } from './testing/sample-operation.ts';

const API = readApiSchema();
const MATRIX = readPermissionMatrix();
const FLAG = 'lane_keep';

/** The arguments of queries, which name what exists. */
const READING: Samples = {
  key: FLAG,
  flagKey: FLAG,
  vin: SAMPLE_VIN,
  environment: 'PRODUCTION',
  conditions: { rollout_percentage: 5 },
  from: '2040-01-01T00:00:00Z',
  to: '2040-01-02T00:00:00Z',
};
/** The arguments of mutations, which name nothing that exists: no cell may change what another one needs. */
const CHANGING: Samples = {
  ...READING,
  key: 'nothing_there',
  flagKey: 'nothing_there',
  vin: 'KMHK281HGNU000009',
  email: 'admin@example.com',
  password: CALLERS_PASSWORD,
  current: CALLERS_PASSWORD,
  new: CALLERS_PASSWORD,
  defaultValue: false,
  manifest: {
    format: 'apollo-persisted-query-manifest',
    version: 1,
    operations: [{ id: 'm', name: 'M', type: 'query', body: 'query M { fleet { total } }' }],
  },
};
/** The arguments of mutations that create, with a key of their own, so that the other mutations still find nothing. */
const CREATING: Samples = { ...CHANGING, key: 'made_here' };

type Field = GraphQLField<unknown, unknown>;
type Answer = { data?: Record<string, unknown> | null | undefined; errors?: readonly WireError[] | undefined };

let every: EveryCaller;
/** The key of a segment that exists. */
const SEGMENT = 'sample_fleet';

/** Ids of rows by type, for references. */
const rows: Record<string, string> = {};
const admin = (query: string, variables = {}) => over(query, variables, 'ADMIN');

beforeAll(async () => {
  every = await EveryCaller.start();
  const input = {
    key: FLAG,
    name: FLAG,
    type: 'BOOLEAN',
    defaultValue: false,
    safetyLevel: 'NON_CRITICAL',
    environment: 'PRODUCTION',
  };
  const create = 'mutation ($input: CreateFlagInput!) { createFlag(input: $input) { flag { id } } }';
  expect((await admin(create, { input })).errors).toBeUndefined();
  expect((await admin(create, { input: { ...input, key: 'brake', safetyLevel: 'ASIL_D' } })).errors).toBeUndefined();
  expect((await admin(create, { input: { ...input, key: 'lights', safetyLevel: 'ASIL_B' } })).errors).toBeUndefined();
  for (const query of [
    `mutation { createRule(flagKey: "${FLAG}", input: { type: PERCENTAGE_ROLLOUT, conditions: { rollout_percentage: 5 } }) { applied } }`,
    `mutation { createExperiment(input: { flagKey: "${FLAG}", name: "E", startDate: "2040-01-01T00:00:00Z", sampleSize: 10, primaryMetric: "m" }) { id } }`,
  ]) {
    expect((await admin(query)).errors).toBeUndefined();
  }
  const { prisma } = every;
  const rule = (await prisma.rule.findFirstOrThrow()).id;
  expect(
    (
      await admin(
        `mutation { scheduleRollout(flagKey: "${FLAG}", ruleId: "${rule}", steps: [{ percentage: 10, after: "P1D" }]) { applied } }`,
      )
    ).errors,
  ).toBeUndefined();
  await prisma.segment.create({ data: { key: SEGMENT, name: 'Sample', conditions: { regions: ['EU'] } } });
  rows['Rollout'] = (await prisma.rollout.findFirstOrThrow()).id;
  rows['Flag'] = (await prisma.flag.findFirstOrThrow({ where: { key: FLAG } })).id;
  rows['ChangeRequest'] = (await prisma.changeRequest.findFirstOrThrow()).id;
  rows['Experiment'] = (await prisma.experiment.findFirstOrThrow()).id;
  rows['AuditLog'] = (await prisma.auditLog.findFirstOrThrow()).id;
  rows['User'] = (await prisma.user.findFirstOrThrow()).id;
});
afterAll(() => every.close());

/** Over HTTP, by id where it is a key: keys run registered operations only. */
async function over(query: string, variables: object, name: CallerName): Promise<Answer> {
  const { caller, headers } = await every.as(name);
  const operation =
    caller.kind === 'apiKey' ? { id: await every.register(query, 'query', caller.apiKeyId) } : { query };
  const response = await fetch(every.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ ...operation, variables }),
  });
  return (await response.json()) as Answer;
}

/** Codes of a sample that never got to its field: it would say nothing about permissions. */
const NO_ANSWER = [
  'LIMIT_EXCEEDED',
  'PERSISTED_QUERY_REQUIRED',
  'PERSISTED_QUERY_NOT_FOUND',
  'INTERNAL_SERVER_ERROR',
  'SERVICE_UNAVAILABLE',
  'RATE_LIMITED',
];

/** 'yes', or the refusal's code. */
function cellOf({ data, errors = [] }: Answer, what: string): string {
  const codes = errors.map(({ extensions }) => String(extensions?.['code']));
  const unasked = errors.some(
    ({ path }, index) =>
      NO_ANSWER.includes(codes[index] ?? '') || (codes[index] === 'BAD_USER_INPUT' && path === undefined),
  );
  if (unasked) throw new Error(`${what}: ${JSON.stringify(errors)}`);
  const refused = codes.find((code) => code === 'UNAUTHENTICATED' || code === 'FORBIDDEN');
  if (refused !== undefined && Object.values(data ?? {}).some((value) => value !== null))
    throw new Error(`${what}: refused, and answered in part: ${JSON.stringify(data)}`);
  return refused ?? 'yes';
}

const expected = (allowed: ReadonlySet<CallerName> | undefined, name: CallerName) =>
  allowed?.has(name) === true ? 'yes' : name === 'anonymous' ? 'UNAUTHENTICATED' : 'FORBIDDEN';

function rootFields(schema: GraphQLSchema): { name: string; kind: string; field: Field }[] {
  return [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].flatMap((type) =>
    Object.values(type?.getFields() ?? {}).map((field) => ({
      name: `${type?.name}.${field.name}`,
      kind: type?.name.toLowerCase() ?? '',
      field,
    })),
  );
}
/** An operation that selects nothing which has a row of its own below the root. */
const sampleOf = ({ kind, field }: { kind: string; field: Field }) =>
  sampleOperation(kind, [field], samplesFor(kind, field.name), false, Object.keys(PERMISSIONS));
const samplesFor = (kind: string, name: string) =>
  kind !== 'mutation' ? READING : name.startsWith('create') ? CREATING : CHANGING;

const PUBLIC = rootFields(API);
const REQUESTS = PUBLIC.filter(({ kind }) => kind !== 'subscription');
const STREAMS = PUBLIC.filter(({ kind }) => kind === 'subscription');

describe('docs/reference/permissions.md', () => {
  test('has a row for each operation of the public schema, and none for another', () => {
    expect([...MATRIX.operations.keys()].sort()).toEqual(PUBLIC.map(({ name }) => name).sort());
  });

  test('names the fields that the table in the code restricts below the roots, and no others', () => {
    const restricted = Object.keys(PERMISSIONS).filter(
      (name) => !/^(Query|Mutation|Subscription|Entity)\.|^Federation$/.test(name),
    );
    expect([...MATRIX.fields.keys()].sort()).toEqual(
      restricted.map((name) => (name.includes('.') ? name : `${name}.*`)).sort(),
    );
  });

  test('lists each root field of a subgraph that the public schema does not have', () => {
    const inside = [...every.subgraphs.values()].flatMap(({ schema }) => rootFields(schema).map(({ name }) => name));
    const known = new Set(PUBLIC.map(({ name }) => name));
    expect([...MATRIX.gatewayOnly].sort()).toEqual(
      [...new Set(inside)].filter((name) => !known.has(name) && name !== 'Query._entities').sort(),
    );
  });
});

describe('at the gateway', () => {
  test.each(REQUESTS.map((it) => [it.name, it] as const))('%s is for the callers of its row', async (name, it) => {
    const { query, variables } = sampleOf(it);
    const cells = await Promise.all(
      CALLERS.map(async (caller) => [caller, cellOf(await over(query, variables, caller), `${name} by ${caller}`)]),
    );
    expect(cells).toEqual(CALLERS.map((caller) => [caller, expected(MATRIX.operations.get(name), caller)]));
  });

  test('a websocket gives queries and mutations to no others than HTTP does', async () => {
    const cells: Record<string, string> = {};
    const wanted: Record<string, string> = {};
    for (const caller of CALLERS.filter((name) => name !== 'anonymous')) {
      const client = await socketOf(await every.as(caller));
      for (const it of REQUESTS) {
        // Signing out closes the socket that the others still need.
        if (it.name === 'Mutation.logout') continue;
        const cell = `${it.name} by ${caller}`;
        await subscribe(client, it.name, it.kind, sampleOf(it), caller);
        cells[cell] = cellOf(await answerOf(client, it.name), cell);
        wanted[cell] = expected(MATRIX.operations.get(it.name), caller);
      }
      client.socket.terminate();
    }
    expect(cells).toEqual(wanted);
  });

  test.each(STREAMS.map((it) => [it.name, it] as const))(
    '%s is for the callers of its row, and an anonymous caller opens no websocket',
    async (name, it) => {
      const callers = CALLERS.filter((caller) => caller !== 'anonymous');
      const clients = await Promise.all(
        callers.map(async (caller) => ({ caller, client: await socketOf(await every.as(caller)) })),
      );
      for (const { caller, client } of clients) await subscribe(client, name, it.kind, sampleOf(it), caller);
      const answers = clients.map(({ client }) => answerOf(client, name));
      await happening(Promise.all(answers));
      const cells = await Promise.all(
        clients.map(async ({ caller }, index) => [caller, cellOf(await answers[index]!, name)]),
      );
      for (const { client } of clients) client.socket.terminate();
      expect(cells).toEqual(callers.map((caller) => [caller, expected(MATRIX.operations.get(name), caller)]));

      const anonymous = await new WireClient(every.url.replace('http', 'ws')).opened();
      anonymous.send({ type: 'connection_init' });
      expect((await anonymous.close()).code).toBe(4403);
    },
  );

  test('an operation that is bound to another key is not there for a key, over HTTP and over a websocket', async () => {
    const [own, other] = [(await every.as('key READ')).caller, (await every.as('key WRITE')).caller].map((caller) =>
      caller.kind === 'apiKey' ? caller.apiKeyId : null,
    );
    const codes: unknown[] = [];
    for (const keyId of [own ?? null, other ?? null]) {
      const id = await every.register('query B { fleet { total } }', 'query', keyId);
      const { headers } = await every.as('key READ');
      const response = await fetch(every.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ id }),
      });
      const client = await socketOf(await every.as('key READ'));
      client.subscribe('b', '', { extensions: undefined, id });
      const answers = [(await response.json()) as Answer, await answerOf(client, 'b')];
      client.socket.terminate();
      codes.push(answers.map(({ errors }) => errors?.[0]?.extensions?.['code']));
    }
    expect(codes).toEqual([
      [undefined, undefined],
      ['PERSISTED_QUERY_NOT_FOUND', 'PERSISTED_QUERY_NOT_FOUND'],
    ]);
  });

  test.each(MATRIX.gatewayOnly)('%s is for no caller', async (name) => {
    const [, wanted = ''] = name.split('.');
    const owner = [...every.subgraphs.values()].find(({ schema }) =>
      rootFields(schema).some((field) => field.name === name),
    );
    const it = rootFields(owner!.schema).find((field) => field.name === name)!;
    const { query, variables } = sampleOf(it);
    for (const caller of CALLERS) {
      const { data, errors } = await over(query, variables, caller);
      expect({ caller, answered: (data ?? {})[wanted], code: errors?.[0]?.extensions?.['code'] }).toEqual({
        caller,
        answered: undefined,
        code: 'BAD_USER_INPUT',
      });
    }
  });
});

/** Gives the value at `path` in the data of an answer; of a list, its first entry. */
function at(data: unknown, path: readonly Field[]): unknown {
  return path.reduce(
    (value: unknown, { name }) => ([value].flat()[0] as Record<string, unknown> | null | undefined)?.[name],
    data,
  );
}

describe('below the roots', () => {
  /** The row that restricts a field. */
  const rowOf = (type: string, field: string) =>
    [`${type}.${field}`, `${type}.*`].find((name) => MATRIX.fields.has(name));

  /**
   * Gives the types that a vehicle's operations lead to, and each restricted field on the shortest path to one, which
   * is not followed.
   */
  function walk(): { types: Set<string>; restricted: { row: string; path: Field[]; kind: string }[] } {
    const types = new Set<string>();
    const restricted: { row: string; path: Field[]; kind: string }[] = [];
    const queue = PUBLIC.filter(({ name }) => MATRIX.operations.get(name)?.has('vehicle')).map(({ kind, field }) => ({
      kind,
      path: [field],
    }));
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { kind, path } = next;
      const type = getNamedType(path.at(-1)!.type);
      if (!isObjectType(type) || types.has(type.name)) continue;
      types.add(type.name);
      for (const field of Object.values(type.getFields())) {
        const row = rowOf(type.name, field.name) ?? rowOf(getNamedType(field.type).name, '*');
        if (row === undefined || MATRIX.fields.get(row)?.has('vehicle')) queue.push({ kind, path: [...path, field] });
        else restricted.push({ row, kind, path: [...path, field] });
      }
    }
    return { types, restricted };
  }
  const { types, restricted } = walk();

  test("a vehicle's operations lead to these types, and to no other", () => {
    expect([...types].sort()).toEqual([
      'Evaluation',
      'Flag',
      'FlagChange',
      'FlagSync',
      'MetricReceipt',
      'PendingFlag',
      // The keys of flags and names of variants, which its signed definitions have, too.
      'Requirement',
      'Rule',
      'SignedFlag',
      'Vehicle',
      'VehicleBackup',
      'Viewer',
    ]);
    expect(new Set(restricted.map(({ row }) => row))).toEqual(
      new Set([
        'User.*',
        'ApiKey.*',
        'Flag.history',
        'Flag.experiments',
        'Flag.metrics',
        'Flag.metricNames',
        'Flag.audience',
        'Flag.faults',
        'Flag.previewChange',
        'Flag.release',
        'Flag.changeRequests',
        'Rule.rollout',
        'Vehicle.faults',
        'Vehicle.partition',
      ]),
    );
  });

  test.each(restricted.map((it) => [it.path.map(({ name }) => name).join('.'), it] as const))(
    '%s says nothing to a vehicle, and is read by READ',
    async (_name, { kind, path }) => {
      const answers: Answer[] = [];
      for (const caller of ['vehicle', 'READ'] as const) {
        const client = await socketOf(await every.as(caller));
        await subscribe(client, 'it', kind, sampleOperation(kind, path, READING), caller);
        answers.push(await happening(answerOf(client, 'it')));
        client.socket.terminate();
      }
      const [byVehicle, byReader] = answers as [Answer, Answer];
      expect(byReader.errors).toBeUndefined();
      const seen = at(byVehicle.data, path);
      // `me` names no vehicle: it gives people and keys only.
      if (path[0]?.name === 'me') expect(seen).toBeNull();
      else {
        expect(byVehicle.errors?.map(({ extensions }) => extensions?.['code'])).toContain('FORBIDDEN');
        expect(Object.entries(seen ?? {}).filter(([name, value]) => name !== '__typename' && value !== null)).toEqual(
          [],
        );
      }
    },
  );

  test('a vehicle is evaluated for its own environment only', async () => {
    const ask = (environment: string) =>
      over(`{ vehicle(vin: "${SAMPLE_VIN}") { evaluations(environment: ${environment}) { flagKey } } }`, {}, 'vehicle');
    expect((await ask('PRODUCTION')).errors).toBeUndefined();
    const { data, errors } = await ask('STAGING');
    expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
    expect((data?.['vehicle'] as { evaluations?: unknown } | null)?.evaluations).toBeUndefined();
  });
});

describe.each(SUBGRAPH_NAMES)('at the %s subgraph, with a genuine identity', (name) => {
  const own = (schema: GraphQLSchema) => rootFields(schema).filter((field) => field.name !== 'Query._entities');
  const ask = async (query: string, variables: object, caller: CallerCredentials['caller']) =>
    JSON.parse(
      JSON.stringify(
        await executeOn(every.subgraphs.get(name)!, {
          query,
          variables: { ...variables },
          identity: identityOf(caller),
        }),
      ),
    ) as Answer;

  test('each root field is for those of its row', async () => {
    const subgraph = every.subgraphs.get(name)!;
    for (const it of own(subgraph.schema)) {
      const { query, variables } = sampleOf(it);
      const callers = await Promise.all(CALLERS.map((caller) => every.as(caller)));
      const streams =
        it.kind === 'subscription'
          ? callers.map(({ caller }) =>
              subscribeOn(subgraph, { query, variables: { ...variables }, identity: identityOf(caller) }),
            )
          : null;
      const answers = await (streams === null
        ? Promise.all(callers.map(({ caller }) => ask(query, variables, caller)))
        : happening(
            Promise.all(
              streams.map(async (stream) => JSON.parse(JSON.stringify((await stream.next()).value)) as Answer),
            ),
          ));
      for (const stream of streams ?? []) await stream.return?.();
      const cells = answers.map((answer, index) => [CALLERS[index], cellOf(answer, it.name)]);
      expect([it.name, cells]).toEqual([
        it.name,
        CALLERS.map((caller) => [caller, expected(MATRIX.operations.get(it.name), caller)]),
      ]);
    }
  });

  test('each entity shows the callers of its row more than they named, and other callers nothing', async () => {
    const { schema } = every.subgraphs.get(name)!;
    const union = schema.getType('_Entity');
    const types = isUnionType(union) ? union.getTypes() : [];
    expect([...MATRIX.entities.keys()].filter((row) => row.startsWith(`${name}/`)).sort()).toEqual(
      types.map((type) => `${name}/${type.name}`).sort(),
    );
    for (const type of types) {
      const reference =
        type.name === 'Vehicle'
          ? { vin: SAMPLE_VIN, ...(name === 'flags' && { model: 'EV9', swVersion: '2.5.0', region: 'EU' }) }
          : type.name === 'Segment'
            ? { key: SEGMENT, ...(name === 'vehicles' && { conditions: { regions: ['EU'] } }) }
            : { id: rows[type.name] };
      const questions = sampleEntity(type, reference, READING);
      const cells = await Promise.all(
        CALLERS.map(async (callerName) => {
          const { caller } = await every.as(callerName);
          const answers = await Promise.all(questions.map(({ query, variables }) => ask(query, variables, caller)));
          const given = answers.flatMap(({ data }) =>
            Object.entries((data?.['_entities'] as Record<string, unknown>[] | undefined)?.[0] ?? {}),
          );
          return [
            callerName,
            given.some(([field, value]) => value !== null && !Object.hasOwn(reference, field)) ? 'yes' : '–',
          ];
        }),
      );
      expect([type.name, cells]).toEqual([
        type.name,
        CALLERS.map((caller) => [caller, MATRIX.entities.get(`${name}/${type.name}`)?.has(caller) ? 'yes' : '–']),
      ]);
    }
  });
});

function socketOf({ headers }: CallerCredentials): Promise<WireClient> {
  return new WireClient(every.url.replace('http', 'ws')).acknowledged({ ...headers });
}

async function subscribe(
  client: WireClient,
  id: string,
  kind: string,
  { query, variables }: SampleOperation,
  name: CallerName,
): Promise<void> {
  const { caller } = await every.as(name);
  if (caller.kind !== 'apiKey') client.subscribe(id, query, { variables });
  else
    client.subscribe(id, '', {
      extensions: undefined,
      variables,
      id: await every.register(query, kind, caller.apiKeyId),
    });
}

/** The first answer to an operation: a result, or the error that ended it. */
async function answerOf(client: WireClient, id: string): Promise<Answer> {
  const message = await eventually(
    () =>
      client.received.find((received) => received.id === id && received.type !== 'complete') ??
      (client.closed ? 'closed' : null),
    `an answer to ${id}`,
    30_000,
  );
  if (message === 'closed') throw new Error(`${id}: the socket was closed: ${JSON.stringify(client.closed)}`);
  return message.type === 'error' ? { errors: message.payload as readonly WireError[] } : (message.payload as Answer);
}

/**
 * Changes the flag and the vehicle and asks for a change, again and again, until what is waited for is over: an event
 * comes to the subscriptions that are open by then.
 */
async function happening<T>(awaited: Promise<T>): Promise<T> {
  let over = false;
  const settled = awaited.finally(() => (over = true));
  settled.catch(() => undefined);
  for (let turn = 0; !over; turn++) {
    const even = turn % 2 === 0;
    expect(
      (
        await admin(
          `mutation { ${even ? 'enableFlag' : 'disableFlag'}(key: "${FLAG}") { applied } updateFlag(key: "lights", input: { safetyLevel: NON_CRITICAL }) { applied } setVehicleMaintenance(vin: "${SAMPLE_VIN}", maintenance: ${even}) { vin } }`,
        )
      ).errors,
    ).toBeUndefined();
  }
  return settled;
}
