/** `node` at a gateway, over all four subgraphs: what Relay asks when it refreshes one object. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { EveryCaller, SAMPLE_VIN } from './testing/every-caller.ts';
import type { CallerName } from './testing/permission-matrix.ts';

const QUERY = `query ($id: ID!) {
  node(id: $id) {
    __typename
    id
    ... on Flag { key history(first: 1) { totalCount } }
    ... on ChangeRequest { action flag { id } requestedBy { name } }
    ... on Experiment { name flag { key } }
    ... on User { name email }
    ... on AuditLog { action user { id } }
    ... on Vehicle { vin model evaluations(environment: PRODUCTION) { flagKey } }
  }
}`;

let every: EveryCaller;
beforeAll(async () => {
  every = await EveryCaller.start();
  const flag = (key: string, safetyLevel: string) =>
    `createFlag(input: {key: "${key}", name: "${key}", type: BOOLEAN, defaultValue: false, safetyLevel: ${safetyLevel}, environment: PRODUCTION, enabled: true}) { applied }`;
  for (const mutation of [
    flag('lane_keep', 'NON_CRITICAL'),
    flag('brake', 'ASIL_D'),
    'createRule(flagKey: "lane_keep", input: {type: PERCENTAGE_ROLLOUT, conditions: {rollout_percentage: 5}}) { applied }',
    'createExperiment(input: {flagKey: "lane_keep", name: "E", startDate: "2040-01-01T00:00:00Z", sampleSize: 10, primaryMetric: "m"}) { id }',
  ]) {
    expect(await ask('ADMIN', `mutation { ${mutation} }`)).not.toHaveProperty('errors');
  }
});
afterAll(() => every.close());

async function ask(
  name: CallerName,
  query: string,
  variables = {},
): Promise<{ data?: { node?: Record<string, unknown> | null } | null; errors?: { extensions: { code: string } }[] }> {
  const { headers } = await every.as(name);
  const response = await fetch(every.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query, variables }),
  });
  return (await response.json()) as Awaited<ReturnType<typeof ask>>;
}

test('a node is found by its id, whatever it is, with what each subgraph knows of it', async () => {
  const { prisma } = every;
  const flag = await prisma.flag.findFirstOrThrow({ where: { key: 'lane_keep' } });
  const request = await prisma.changeRequest.findFirstOrThrow();
  const experiment = await prisma.experiment.findFirstOrThrow();
  const entry = await prisma.auditLog.findFirstOrThrow({ where: { userId: { not: null } } });
  const user = await prisma.user.findFirstOrThrow();
  const expected: [string, Record<string, unknown>][] = [
    [flag.id, { __typename: 'Flag', key: 'lane_keep', history: { totalCount: expect.any(Number) } }],
    [
      request.id,
      {
        __typename: 'ChangeRequest',
        action: request.action,
        flag: { id: request.flagId },
        requestedBy: { name: expect.any(String) },
      },
    ],
    [experiment.id, { __typename: 'Experiment', name: 'E', flag: { key: 'lane_keep' } }],
    [user.id, { __typename: 'User', name: user.name, email: user.email }],
    [entry.id, { __typename: 'AuditLog', action: entry.action, user: { id: entry.userId } }],
    [
      SAMPLE_VIN,
      { __typename: 'Vehicle', vin: SAMPLE_VIN, model: expect.any(String), evaluations: [{ flagKey: 'lane_keep' }] },
    ],
  ];
  for (const [id, node] of expected)
    expect(await ask('READ', QUERY, { id })).toEqual({ data: { node: { id, ...node } } });
  expect(await ask('READ', QUERY, { id: flag.id.toUpperCase() })).toMatchObject({ data: { node: { id: flag.id } } });
  const bare = await ask('READ', 'query ($id: ID!) { node(id: $id) { id __typename } }', { id: experiment.id });
  expect(bare).toEqual({ data: { node: { id: experiment.id, __typename: 'Experiment' } } });
});

test("a rejected draft's entries are found through its request and by its id, and are not those of a later flag", async () => {
  const create = (level: string) =>
    ask(
      'ADMIN',
      `mutation { createFlag(input: {key: "steer", name: "S", type: BOOLEAN, defaultValue: false, safetyLevel: ${level}, environment: PRODUCTION}) { flag { id } changeRequest { id } } }`,
    );
  await create('ASIL_D');
  const { id, flagId } = await every.prisma.changeRequest.findFirstOrThrow({ orderBy: { createdAt: 'desc' } });
  expect(
    await ask('SAFETY', `mutation { rejectChangeRequest(id: "${id}", comment: "no") { status } }`),
  ).not.toHaveProperty('errors');
  expect(await create('NON_CRITICAL')).not.toHaveProperty('errors');

  const history = 'history { nodes { action } }';
  const dropped = { history: { nodes: [{ action: 'REJECT_CHANGE' }, { action: 'REQUEST_CHANGE' }] } };
  expect(await ask('READ', `{ changeRequests(status: REJECTED) { after flag { id ${history} } } }`)).toEqual({
    data: {
      changeRequests: [{ after: expect.objectContaining({ key: 'steer' }), flag: { id: flagId, ...dropped } }],
    },
  });
  expect(await ask('READ', `{ node(id: "${flagId}") { ... on Flag { ${history} } } }`)).toEqual({
    data: { node: dropped },
  });
  const later = { nodes: [{ action: 'CREATE_FLAG' }] };
  expect(
    await ask(
      'READ',
      `{ flag(key: "steer") { ${history} } auditLogs(filter: { flagKey: "steer" }) { nodes { action } } }`,
    ),
  ).toEqual({ data: { flag: { history: later }, auditLogs: later } });
});

test('an id that names nothing gives null', async () => {
  for (const id of [
    '',
    'x',
    "' OR 1=1",
    '\0',
    '0198f0aa-0000-7000-8000-000000000099',
    'KMHK281HGNU000777',
    '0'.repeat(10_000),
  ])
    expect(await ask('READ', QUERY, { id })).toEqual({ data: { node: null } });
});

test('a vehicle that is read by its VIN has the id by which it is found', async () => {
  const answer = await ask('READ', `{ vehicle(vin: "${SAMPLE_VIN}") { id vin } }`);
  expect(answer).toEqual({ data: { vehicle: { id: SAMPLE_VIN, vin: SAMPLE_VIN } } });
});

test('an anonymous caller and a vehicle are refused, whatever the id names', async () => {
  for (const [name, code] of [
    ['anonymous', 'UNAUTHENTICATED'],
    ['vehicle', 'FORBIDDEN'],
    ['another vehicle', 'FORBIDDEN'],
  ] as const) {
    expect(await ask(name, QUERY, { id: SAMPLE_VIN })).toMatchObject({ errors: [{ extensions: { code } }] });
  }
});
