import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { admin as runAdmin } from './harness/admin.ts';
import { Api, Listener } from './harness/api.ts';
import { ADMIN, Deployment } from './harness/deployment.ts';
import { ProjectProcess, eventually } from './harness/process.ts';

const VIN = 'KMHK281HGNU000003';
let deployment: Deployment;
let admin: Api;

beforeAll(async () => {
  deployment = await Deployment.start();
  admin = await Api.admin(deployment);
  await admin.vehicle(VIN, { model: 'Ioniq 5 Gen2', swVersion: '2.6.0', region: 'NA' });
  await admin.ok(
    'mutation { createFlag(input: {key: "one_pedal", name: "One pedal driving", description: "Recuperation to standstill", type: BOOLEAN, defaultValue: false, safetyLevel: SAFETY_RELEVANT, environment: PRODUCTION, enabled: true}) { applied } }',
  );
  await admin.ok('mutation ($input: RuleInput!) { createRule(flagKey: "one_pedal", input: $input) { applied } }', {
    input: {
      type: 'VEHICLE_TARGET',
      conditions: { models: ['Ioniq 5 Gen2'], sw_version: '>= 2.5.0', regions: ['NA', 'EU'] },
    },
  });
}, 120_000);

afterAll(async () => {
  await deployment?.remove();
}, 60_000);

test('fields that cross subgraphs resolve', async () => {
  const data = await admin.ok(
    `query ($vin: String!) {
      flag(key: "one_pedal") { createdBy { email name } history { totalCount nodes { action user { email } flag { key } beforeValue afterValue hash requestId } } experiments { id } }
      vehicle(vin: $vin) { model evaluations(environment: PRODUCTION) { flagKey value reason } }
      auditLogs(filter: {flagKey: "one_pedal"}, first: 1) { totalCount nodes { action flag { name } } pageInfo { hasNextPage } }
      evaluateFlag(key: "one_pedal", context: {vin: $vin}) { value variant reason ruleId revision }
      flags(filter: {search: "recuperation"}) { nodes { key } }
      me { kind role user { email } }
    }`,
    { vin: VIN },
  );
  expect(data).toMatchObject({
    flag: {
      createdBy: { email: ADMIN.email },
      history: {
        totalCount: 2,
        nodes: [
          { action: 'CREATE_RULE', user: { email: ADMIN.email }, flag: { key: 'one_pedal' } },
          { action: 'CREATE_FLAG', beforeValue: null },
        ],
      },
      experiments: [],
    },
    vehicle: { model: 'Ioniq 5 Gen2', evaluations: [{ flagKey: 'one_pedal', value: true, reason: 'TARGETING_MATCH' }] },
    auditLogs: {
      totalCount: 2,
      nodes: [{ action: 'CREATE_RULE', flag: { name: 'One pedal driving' } }],
      pageInfo: { hasNextPage: true },
    },
    evaluateFlag: { value: true, variant: 'enabled', reason: 'TARGETING_MATCH', revision: 2 },
    flags: { nodes: [{ key: 'one_pedal' }] },
    me: { kind: 'USER', role: 'ADMIN', user: { email: ADMIN.email } },
  });
});

test('a subscription carries fields of other subgraphs, in revision order and none left out, to every client', async () => {
  const query = `subscription ($environment: Environment!) {
    flagChanges(environment: $environment) { revision previousRevision flag { key name createdBy { name } rules { type conditions } killed } signed { removed jws } statement }
  }`;
  const clients = [admin.socket(), admin.socket(), admin.socket()];
  const listeners = clients.map((client) => new Listener(client, query, { environment: 'PRODUCTION' }));
  // The gateway answers a query on the same socket only after it has started the subscription.
  await Promise.all(
    clients.map(
      (client) =>
        new Promise<void>((resolve, reject) =>
          client.subscribe(
            { query: '{ flagSync(environment: PRODUCTION) { revision } }' },
            { next: () => undefined, error: reject, complete: resolve },
          ),
        ),
    ),
  );

  const { flag } = await admin.ok<{ flag: { createdBy: object } }>('{ flag(key: "one_pedal") { createdBy { name } } }');
  for (const name of ['One', 'Two', 'Three'])
    await admin.ok('mutation ($name: String!) { updateFlag(key: "one_pedal", input: {name: $name}) { applied } }', {
      name,
    });
  type Change = { flagChanges: { revision: number; previousRevision: number; flag: object } };
  const changesOf = (listener: Listener) => listener.events.map((event) => (event.data as Change).flagChanges);
  await eventually(
    () => listeners.every((listener) => listener.ended || changesOf(listener).at(-1)?.revision === 5),
    'all listeners at revision 5',
  );

  for (const listener of listeners) {
    expect(listener.error).toBeUndefined();
    const changes = changesOf(listener);
    // Changes that come close together may be sent as one (the newest state); the chain has no gap in any case.
    changes.reduce((previous, change) => {
      expect(change.previousRevision).toBe(previous);
      return change.revision;
    }, 2);
    expect(changes.at(-1)).toMatchObject({
      revision: 5,
      flag: {
        key: 'one_pedal',
        name: 'Three',
        createdBy: flag.createdBy,
        rules: [{ type: 'VEHICLE_TARGET' }],
        killed: false,
      },
    });
  }
  for (const client of clients) await client.dispose();
});

test("a vehicle's stream shows no other vehicle's VIN and no person", async () => {
  const token = await admin.vehicle('KMHK281HGNU000004');
  const client = admin.socket(token);
  const listener = new Listener(
    client,
    'subscription { flagChanges(environment: PRODUCTION) { flag { key rules { conditions } updatedBy { name } } signed { jws } } }',
  );
  await new Promise<void>((resolve, reject) =>
    client.subscribe(
      { query: '{ flagSync(environment: PRODUCTION) { revision } }' },
      { next: () => undefined, error: reject, complete: resolve },
    ),
  );
  await admin.ok('mutation ($input: RuleInput!) { createRule(flagKey: "one_pedal", input: $input) { applied } }', {
    input: { type: 'VEHICLE_WHITELIST', priority: 7, conditions: { vins: [VIN] } },
  });
  const event = await eventually(() => listener.events[0], 'the change');
  const text = JSON.stringify(event);
  const payloads = [...text.matchAll(/\.([A-Za-z0-9_-]{20,})\./g)].map(([, payload]) =>
    Buffer.from(payload ?? '', 'base64url').toString(),
  );
  expect(text + payloads.join()).not.toContain(VIN);
  expect(payloads.join()).toContain('digests');
  expect(event.data).toMatchObject({ flagChanges: { flag: { key: 'one_pedal', updatedBy: null } } });
  expect(event.errors?.[0]).toMatchObject({ extensions: { code: 'FORBIDDEN' } });
  await client.dispose();
});

test('a vehicle may not subscribe to another environment, and an anonymous caller may not subscribe at all', async () => {
  const client = admin.socket(await admin.vehicle('KMHK281HGNU000005'));
  const foreign = new Listener(client, 'subscription { flagChanges(environment: STAGING) { revision } }');
  await eventually(() => foreign.ended, 'the refusal');
  expect(foreign.error).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  await client.dispose();

  const anonymous = admin.socket(null);
  const refused = new Listener(anonymous, 'subscription { flagChanges(environment: STAGING) { revision } }');
  await eventually(() => refused.ended, 'the close');
  expect(refused.error).toMatchObject({ code: 4403 });
  await anonymous.dispose();
});

test('a reader of the audit log sees each change as it happens, can verify the log, and export it', async () => {
  const client = admin.socket();
  const auditLog = new Listener(
    client,
    'subscription { auditTrail { action user { email } flag { key name } afterValue hash } }',
  );
  await new Promise<void>((resolve, reject) =>
    client.subscribe({ query: '{ me { kind } }' }, { next: () => undefined, error: reject, complete: resolve }),
  );
  for (const name of ['First', 'Second'])
    await admin.ok('mutation ($name: String!) { updateFlag(key: "one_pedal", input: {name: $name}) { applied } }', {
      name,
    });
  await eventually(() => auditLog.events.length >= 2, 'both entries');
  type Entry = { auditTrail: { hash: string } };
  expect(auditLog.events.map(({ data }) => data)).toMatchObject(
    ['First', 'Second'].map((name) => ({
      auditTrail: {
        action: 'UPDATE_FLAG',
        user: { email: ADMIN.email },
        flag: { key: 'one_pedal' },
        afterValue: { name },
      },
    })),
  );
  auditLog.stop();
  await client.dispose();

  const { auditIntegrity } = await admin.ok<{ auditIntegrity: { headHash: string } }>(
    '{ auditIntegrity { intact firstBrokenId headHash } }',
  );
  expect(auditIntegrity).toEqual({
    intact: true,
    firstBrokenId: null,
    headHash: (auditLog.events[1]?.data as Entry).auditTrail.hash,
  });
  const { databaseHealth } = await admin.ok<{
    databaseHealth: { slowQueries: unknown[]; duplicateIndexes: unknown[] };
  }>('{ databaseHealth { duplicateIndexes { indexes } slowQueries { query meanMs } tableSizes { table } notes } }');
  expect(databaseHealth.duplicateIndexes).toEqual([]);

  const file = join(deployment.dataDir, 'audit-log.jsonl');
  expect(
    await runAdmin(deployment, 'audit-export', '--from', '2026-01-01', '--to', '2100-01-01', '--out', file),
  ).toMatchObject({ code: 0, stderr: '' });
  const verifier = new ProjectProcess(
    ['commands/admin/audit-log/verify-audit-export.mjs', file, '--expect-head', auditIntegrity.headHash],
    {},
  );
  expect(await verifier.ended()).toBe(0);
  expect(verifier.stdout).toContain('Passes through the expected hash');
});

test('a vehicle whose tokens are revoked is cut off, and comes back with a new one', async () => {
  const vin = 'KMHK281HGNU000006';
  const token = await admin.vehicle(vin);
  const readVehicle = (credential: string) =>
    new Api(deployment, credential).ask('query ($vin: String!) { vehicle(vin: $vin) { vin } }', { vin });
  const closed: unknown[] = [];
  let connected = false;
  const client = admin.socket(token);
  client.on('connected', () => void (connected = true));
  client.on('closed', (event) => void closed.push((event as { code: number }).code));
  const listener = new Listener(client, 'subscription { flagChanges(environment: PRODUCTION) { revision } }');
  await eventually(() => connected, 'the connection');
  expect((await readVehicle(token)).data).toEqual({ vehicle: { vin } });

  await admin.ok('mutation ($vin: String!) { revokeVehicleTokens(vin: $vin) { tokenGeneration } }', { vin });
  await eventually(() => closed.length > 0, 'the socket is closed');
  expect(closed).toEqual([4403]);
  expect(listener.events).toEqual([]);
  expect((await readVehicle(token)).errors?.[0]?.extensions).toMatchObject({ code: 'UNAUTHENTICATED' });

  expect((await readVehicle(await admin.vehicle(vin))).data).toEqual({ vehicle: { vin } });
  await client.dispose();
});
