/** Binding of operations to keys: by the manifest, or by the key. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { Caller } from '../../../core/access/caller.ts';
import { createInProcessBus } from '../../shared/feeds/bus.ts';
import { createInProcessStore } from '../../shared/stores/key-value-store.ts';
import { createInProcessRateLimiter } from '../../shared/stores/rate-limiter.ts';
import { asking, refusal, silent, user, type Ask } from '../../shared/testing/asking.ts';
import { endNoPlans } from '../../shared/testing/no-plans.ts';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import { startAudit } from '../subgraph.ts';
import { testWebhookSettings } from '../../shared/testing/webhook-settings.ts';

let database: TestDatabase;
let ask: Ask;
let stop: () => Promise<void>;
let administrator: Caller;

beforeAll(async () => {
  database = await createTestDatabase();
  const { prisma } = database.database;
  const started = await startAudit({
    webhooks: testWebhookSettings,
    endPlans: endNoPlans,
    prisma,
    sessions: createInProcessStore(),
    bus: createInProcessBus(),
    limiter: createInProcessRateLimiter(),
    checkOperation: () => [],
    logger: silent,
  });
  [ask, stop] = [asking(started.subgraph), () => started.close()];
  administrator = user(
    'ADMIN',
    (await prisma.user.create({ data: { email: 'boss@example.com', name: 'B', passwordHash: '-', role: 'ADMIN' } })).id,
  );
}, 60_000);
afterAll(async () => {
  await stop?.();
  await database?.drop();
});

const operation = (name: string, id = `${name}@${randomUUID()}`) => ({
  id,
  name,
  type: 'query',
  body: `query ${name} { fleet { total } }`,
});
const register = (operations: object[], apiKeys?: string[]) =>
  ask<{ registerPersistedOperations: { id: string; apiKeys: { id: string }[] }[] }>(
    administrator,
    'mutation ($manifest: JSON!, $apiKeys: [ID!]) { registerPersistedOperations(manifest: $manifest, apiKeys: $apiKeys) { id apiKeys { id } } }',
    {
      manifest: { format: 'apollo-persisted-query-manifest', version: 1, operations },
      ...(apiKeys !== undefined && { apiKeys }),
    },
  );
const create = (operations?: string[]) =>
  ask<{ createApiKey: { apiKey: { id: string } } }>(
    administrator,
    'mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) { apiKey { id } } }',
    { input: { name: 'Acme', role: 'READ', ...(operations !== undefined && { operations }) } },
  );
const newKey = async (operations?: string[]) => (await create(operations)).data.createApiKey.apiKey.id;
const keysOf = async (by: { id: string } | { sha256: string }) =>
  (
    await ask<{ persistedOperation: { apiKeys: string[] | null } | null }>(
      { kind: 'gateway' },
      'query ($id: String, $sha256: String) { persistedOperation(id: $id, sha256: $sha256) { sha256 apiKeys } }',
      by,
    )
  ).data.persistedOperation?.apiKeys;
const lastRow = () => database.database.prisma.auditLog.findFirstOrThrow({ orderBy: { chainPosition: 'desc' } });

test('a manifest is bound to the given keys, and to further ones when it is registered again', async () => {
  const [acme, other] = [await newKey(), await newKey()];
  const [one, two] = [operation('One'), operation('Two')];
  const { data, errors } = await register([one, two], [acme]);
  expect(errors).toEqual([]);
  expect(data.registerPersistedOperations).toEqual([one, two].map(({ id }) => ({ id, apiKeys: [{ id: acme }] })));
  expect(await lastRow()).toMatchObject({
    action: 'REGISTER_OPERATIONS',
    afterValue: { bound: [one.id, two.id], apiKeys: [acme] },
  });
  expect(await keysOf({ id: one.id })).toEqual([acme]);

  await register([one], [other.toUpperCase()]);
  expect([...((await keysOf({ id: one.id })) ?? [])].sort()).toEqual([acme, other].sort());
  expect(await keysOf({ id: two.id })).toEqual([acme]);
  // Repeating it changes nothing, and leaves no audit row.
  const { chainPosition } = await lastRow();
  await register([one, two], [acme]);
  expect((await lastRow()).chainPosition).toBe(chainPosition);
});

test('a key can be created for operations, which no unbound key may run from then on', async () => {
  const free = operation('Free');
  await register([free]);
  expect(await keysOf({ id: free.id })).toBeNull();
  const acme = await newKey([free.id]);
  expect(await lastRow()).toMatchObject({ action: 'CREATE_API_KEY', afterValue: { id: acme, operations: [free.id] } });
  expect(await keysOf({ id: free.id })).toEqual([acme]);
});

test('by its hash, a text can be run by the keys of each id that has it, and by every key when one id is unbound', async () => {
  const [acme, other] = [await newKey(), await newKey()];
  const name = `Shared${randomUUID().slice(0, 8)}`;
  const [one, two, three] = [operation(name, `a@${name}`), operation(name, `b@${name}`), operation(name, `c@${name}`)];
  await register([one], [acme]);
  await register([two], [other]);
  const { sha256 } = await database.database.prisma.persistedOperation.findUniqueOrThrow({ where: { id: one.id } });
  expect([...((await keysOf({ sha256 })) ?? [])].sort()).toEqual([acme, other].sort());
  await register([three]);
  expect(await keysOf({ sha256 })).toBeNull();
  expect(await keysOf({ id: one.id })).toEqual([acme]);
});

test('an unknown key or operation is refused at its path, and nothing is stored', async () => {
  const acme = await newKey();
  const gone = operation('Gone');
  expect(refusal(await register([gone], [acme, randomUUID()]))).toEqual({ code: 'NOT_FOUND', field: 'apiKeys.1' });
  expect(refusal(await register([gone], ['nonsense']))).toEqual({ code: 'NOT_FOUND', field: 'apiKeys.0' });
  expect(refusal(await register([gone], []))).toEqual({ code: 'BAD_USER_INPUT', field: 'apiKeys' });
  expect(await keysOf({ id: gone.id })).toBeUndefined();
  const before = await database.database.prisma.apiKey.count();
  expect(refusal(await create([gone.id]))).toEqual({ code: 'NOT_FOUND', field: 'input.operations.0' });
  expect(await database.database.prisma.apiKey.count()).toBe(before);
});

const remove = (...ids: string[]) =>
  ask<{ removePersistedOperations: { id: string }[] }>(
    administrator,
    'mutation ($ids: [ID!]!) { removePersistedOperations(ids: $ids) { id } }',
    { ids },
  );

test('a removed operation is found no more, and only its own text comes back under its id, without its keys', async () => {
  const acme = await newKey();
  const [gone, stays] = [operation('Gone'), operation('Stays')];
  await register([gone, stays], [acme]);
  expect((await remove(gone.id)).data.removePersistedOperations).toEqual([{ id: gone.id }]);
  expect(await lastRow()).toMatchObject({
    action: 'REMOVE_OPERATIONS',
    beforeValue: { operations: [{ id: gone.id, name: 'Gone', sha256: expect.any(String) as unknown }] },
  });
  expect(await keysOf({ id: gone.id })).toBeUndefined();
  expect(await keysOf({ id: stays.id })).toEqual([acme]);
  const listed = await ask<{ persistedOperations: { id: string }[] }>(administrator, '{ persistedOperations { id } }');
  expect(listed.data.persistedOperations.map(({ id }) => id)).not.toContain(gone.id);
  expect(refusal(await create([gone.id]))).toEqual({ code: 'NOT_FOUND', field: 'input.operations.0' });

  const other = { ...gone, body: 'query Gone { fleet { online } }' };
  expect(refusal(await register([other]))).toMatchObject({ code: 'CONFLICT' });
  expect(await keysOf({ id: gone.id })).toBeUndefined();
  expect((await register([gone])).errors).toEqual([]);
  expect(await lastRow()).toMatchObject({
    action: 'REGISTER_OPERATIONS',
    afterValue: { operations: [{ id: gone.id }] },
  });
  expect(await keysOf({ id: gone.id })).toBeNull();
});

test('operations are removed all or none: one that is not registered is named by its place', async () => {
  const present = operation('Present');
  await register([present]);
  const { chainPosition } = await lastRow();
  expect(refusal(await remove(present.id, 'nothing'))).toEqual({ code: 'NOT_FOUND', field: 'ids.1' });
  expect(refusal(await remove())).toEqual({ code: 'BAD_USER_INPUT', field: 'ids' });
  expect(refusal(await remove(...Array.from({ length: 1_001 }, () => 'x')))).toEqual({
    code: 'LIMIT_EXCEEDED',
    field: 'ids',
  });
  expect((await lastRow()).chainPosition).toBe(chainPosition);
  expect(await keysOf({ id: present.id })).toBeNull();
});
