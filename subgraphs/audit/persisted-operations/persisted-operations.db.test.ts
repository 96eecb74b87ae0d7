import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Caller } from '../../../core/access/caller.ts';
import { createInProcessBus } from '../../shared/feeds/bus.ts';
import { createInProcessStore } from '../../shared/stores/key-value-store.ts';
import { createInProcessRateLimiter } from '../../shared/stores/rate-limiter.ts';
import { asking, refusal, silent, user, type Ask } from '../../shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import {
  MAX_BODY_BYTES,
  MAX_OPERATIONS,
  sha256Of,
  type ManifestOperation,
  type OperationFault,
} from './persisted-operation.ts';
import { startAudit } from '../subgraph.ts';
import { endNoPlans } from '../../shared/testing/no-plans.ts';
import { testWebhookSettings } from '../../shared/testing/webhook-settings.ts';

const REGISTER =
  'mutation ($manifest: JSON!) { registerPersistedOperations(manifest: $manifest) { id sha256 name type body createdAt } }';
const GATEWAY: Caller = { kind: 'gateway' };
const CI: Caller = { kind: 'apiKey', apiKeyId: null, role: 'ADMIN', rateLimitPerMin: 60 };

let database: TestDatabase;
let ask: Ask;
let close: () => Promise<void>;
let administrator: Caller;
let checked: string[] = [];

const prisma = () => database.database.prisma;

/** Stands for the check against the public schema, which is tested in main/operation-check.test.ts. */
function check(body: string): OperationFault[] {
  checked.push(body);
  if (body.includes('nothing')) return [{ message: 'Cannot query field "nothing".' }];
  return body.includes('deep') ? [{ message: 'Too deep.', limit: 10 }] : [];
}

beforeAll(async () => {
  database = await createTestDatabase();
  const { id } = await prisma().user.create({
    data: { email: 'ann@example.com', name: 'Ann', passwordHash: 'x', role: 'ADMIN' },
  });
  administrator = user('ADMIN', id);
  const started = await startAudit({
    webhooks: testWebhookSettings,
    endPlans: endNoPlans,
    prisma: prisma(),
    sessions: createInProcessStore(),
    checkOperation: check,
    bus: createInProcessBus(),
    limiter: createInProcessRateLimiter(),
    logger: silent,
  });
  ask = asking(started.subgraph);
  close = () => started.close();
});

afterAll(async () => {
  await close();
  await database.drop();
});

/** Gives an entry as the public generator writes it. */
function operation(name: string, fields = '__typename'): Omit<ManifestOperation, 'sha256'> {
  const body = `query ${name} {\n  ${fields}\n}`;
  return { id: sha256Of(body), name, type: 'query', body };
}
const manifest = (...operations: unknown[]) => ({ format: 'apollo-persisted-query-manifest', version: 1, operations });
const register = (given: unknown, caller = administrator) =>
  ask<{ registerPersistedOperations: (ManifestOperation & { createdAt: string })[] }>(caller, REGISTER, {
    manifest: given,
  });
const trail = () =>
  prisma().auditLog.findMany({ where: { action: 'REGISTER_OPERATIONS' }, orderBy: { chainPosition: 'asc' } });
const count = () => prisma().persistedOperation.count();

describe('registering a manifest', () => {
  test('stores its operations, gives them in its order, and records their ids, names and hashes, not their texts', async () => {
    const [b, a] = [operation('Bravo'), { ...operation('Alpha'), type: 'query', extra: 'from a later generator' }];
    const { data, errors } = await register(manifest(b, a));
    expect(errors).toEqual([]);
    expect(data.registerPersistedOperations).toMatchObject(
      [b, a].map(({ id, name, body }) => ({ id, name, body, sha256: sha256Of(body), type: 'QUERY' })),
    );
    const [row] = await trail();
    expect(row).toMatchObject({
      userId: (administrator as { userId: string }).userId,
      afterValue: { operations: [b, a].map(({ id, name, body }) => ({ id, name, sha256: sha256Of(body) })) },
    });
    expect(JSON.stringify(row?.afterValue)).not.toContain('__typename');
    const stored = await prisma().persistedOperation.findUniqueOrThrow({ where: { id: a.id } });
    expect(stored).toMatchObject({ createdById: (administrator as { userId: string }).userId, type: 'query' });
  });

  test('a second time changes nothing, records nothing, and gives the same', async () => {
    const given = manifest(operation('Again'));
    const first = await register(given);
    const recorded = (await trail()).length;
    expect((await register(given)).data).toEqual(first.data);
    const more = await register(manifest(operation('Again'), operation('More')));
    expect(more.data.registerPersistedOperations[0]).toEqual(first.data.registerPersistedOperations[0]);
    const rows = await trail();
    expect(rows.length).toBe(recorded + 1);
    expect(rows.at(-1)?.afterValue).toMatchObject({ operations: [{ name: 'More' }] });
  });

  test('accepts chosen ids, several for one text, and every kind of operation with fragments', async () => {
    const body = 'subscription Changes { changes { ...F } } fragment F on Change { revision }';
    const own = (id: string) => ({ id, name: 'Changes', type: 'subscription', body });
    expect((await register(manifest(own('acme/changes@1'), own('acme/changes@2')))).errors).toEqual([]);
    expect(
      (await register(manifest({ id: 'stop', name: 'Stop', type: 'mutation', body: 'mutation Stop { stop }' }))).errors,
    ).toEqual([]);
  });

  test('is a CONFLICT for another text under an id, and then none of it is registered', async () => {
    await register(manifest({ ...operation('First'), id: 'v1' }));
    const [before, recorded] = [await count(), (await trail()).length];
    const answer = await register(manifest(operation('Unheard'), { ...operation('First', 'a: __typename'), id: 'v1' }));
    expect(refusal(answer)).toEqual({ code: 'CONFLICT', field: 'manifest.operations.1.id' });
    expect([await count(), (await trail()).length]).toEqual([before, recorded]);
  });

  test('at the same time as others registers each operation once', async () => {
    const before = await count();
    const shared = Array.from({ length: 20 }, (_, index) => operation(`Shared${index}`));
    const answers = await Promise.all(
      [manifest(...shared), manifest(...shared.toReversed()), manifest(...shared)].map((given) => register(given)),
    );
    for (const { errors } of answers) expect(errors).toEqual([]);
    expect(await count()).toBe(before + shared.length);
  });

  test('records the key that registered it, where an administrator has given a key the operation for that', async () => {
    expect((await register(manifest(operation('FromCi')), CI)).errors).toEqual([]);
    expect(
      await prisma().persistedOperation.findUniqueOrThrow({ where: { id: operation('FromCi').id } }),
    ).toMatchObject({ createdById: null });
  });

  test.each([
    ['a SHA-256', (body: string) => sha256Of(body)],
    ['a SHA-256 with its prefix', (body: string) => `sha256:${sha256Of(body)}`],
    ["another digest, as Relay's MD5", (body: string) => createHash('md5').update(body).digest('hex')],
  ])('accepts texts by their ids, as Relay and GraphQL Code Generator write them: %s', async (what, idOf) => {
    const bodies = ['ByIdOne', 'ByIdTwo'].map((name) => `query ${name} { __typename } # ${what}`);
    const { data, errors } = await register(Object.fromEntries(bodies.map((body) => [idOf(body), body])));
    expect(errors).toEqual([]);
    expect(data.registerPersistedOperations).toMatchObject(
      bodies.map((body, index) => ({
        id: idOf(body),
        sha256: sha256Of(body),
        type: 'QUERY',
        name: ['ByIdOne', 'ByIdTwo'][index],
        body,
      })),
    );
    const taken = await register({ [idOf(bodies[0] ?? '')]: bodies[0] });
    expect(taken.data.registerPersistedOperations).toHaveLength(1);
  });

  test('by its texts is a CONFLICT when an id has another text, and names that id', async () => {
    await register({ 'relay-1': 'query R { __typename }' });
    expect(refusal(await register({ 'relay-1': 'query R { other: __typename }' }))).toEqual({
      code: 'CONFLICT',
      field: 'manifest.relay-1',
    });
  });

  const good = operation('Good');
  const twin = operation('Twin');
  test.each<[string, unknown, string, string?]>([
    ['no object', 'text', 'manifest'],
    ['a list', [], 'manifest'],
    ['another format', { ...manifest(good), format: 'apollo-manifest' }, 'manifest.format'],
    ['another version', { ...manifest(good), version: 2 }, 'manifest.version'],
    ['no list', { ...manifest(), operations: { 0: good } }, 'manifest.operations'],
    [
      'too many operations',
      manifest(...Array.from({ length: MAX_OPERATIONS + 1 }, () => good)),
      'manifest.operations',
      'LIMIT_EXCEEDED',
    ],
    ['an invalid operation', manifest(good, 7), 'manifest.operations.1'],
    ['no id', manifest({ ...good, id: undefined }), 'manifest.operations.0.id'],
    ['an empty id', manifest({ ...good, id: '' }), 'manifest.operations.0.id'],
    ['an id with a space', manifest({ ...good, id: 'a b' }), 'manifest.operations.0.id'],
    ['an id that is too long', manifest({ ...good, id: 'x'.repeat(129) }), 'manifest.operations.0.id'],
    ["another text's SHA-256", manifest(good, { ...twin, id: sha256Of('other') }), 'manifest.operations.1.id'],
    [
      'a SHA-256 in capitals',
      manifest({ ...good, id: good.id.toUpperCase().replace(/^./, 'A') }),
      'manifest.operations.0.id',
    ],
    ['an id twice', manifest(good, twin, good), 'manifest.operations.2.id'],
    ['no name', manifest({ ...good, name: null }), 'manifest.operations.0.name'],
    ['another name', manifest({ ...good, name: 'Other' }), 'manifest.operations.0.name'],
    [
      'a nameless operation',
      manifest({ id: 'x', name: '', type: 'query', body: '{ __typename }' }),
      'manifest.operations.0.name',
    ],
    ['a name that is too long', manifest(operation('N'.repeat(101))), 'manifest.operations.0.name'],
    ['another type', manifest({ ...good, type: 'mutation' }), 'manifest.operations.0.type'],
    ['a body that is no text', manifest({ ...good, body: {} }), 'manifest.operations.0.body'],
    ['a body with U+0000', manifest({ ...good, id: 'x', body: `${good.body}#\0` }), 'manifest.operations.0.body'],
    [
      'a body that is too large',
      manifest({ ...good, id: 'x', body: `${good.body}#${'x'.repeat(MAX_BODY_BYTES)}` }),
      'manifest.operations.0.body',
      'LIMIT_EXCEEDED',
    ],
    [
      'two operations in a body',
      manifest({ id: 'x', name: 'A', type: 'query', body: 'query A { a } query B { b }' }),
      'manifest.operations.0.body',
    ],
    ['what the schema does not accept', manifest(good, operation('Bad', 'nothing')), 'manifest.operations.1.body'],
    ['nothing at all', {}, 'manifest.format'],
    ['a text by its id that is none', { a: good.body, b: 7 }, 'manifest.b'],
    ['a text by an id that is none', { 'a b': good.body }, 'manifest.a b'],
    ["a text by another's SHA-256", { [sha256Of('other')]: good.body }, `manifest.${sha256Of('other')}`],
    [
      "a text by another's SHA-256 with its prefix",
      { [`sha256:${sha256Of('other')}`]: good.body },
      `manifest.sha256:${sha256Of('other')}`,
    ],
    ['a nameless text by its id', { a: '{ __typename }' }, 'manifest.a'],
    ['two operations by one id', { a: 'query A { a } query B { b }' }, 'manifest.a'],
    ['what the schema does not accept, by its id', { a: 'query Bad { nothing }' }, 'manifest.a'],
    [
      'too many texts',
      Object.fromEntries(Array.from({ length: MAX_OPERATIONS + 1 }, (_, index) => [`x${index}`, good.body])),
      'manifest',
      'LIMIT_EXCEEDED',
    ],
    [
      'what is beyond the limits',
      manifest(good, operation('Bad', 'deep')),
      'manifest.operations.1.body',
      'LIMIT_EXCEEDED',
    ],
  ])(
    'is refused with the path of the fault and leaves nothing behind: %s',
    async (_what, given, field, code = 'BAD_USER_INPUT') => {
      const before = await count();
      expect(refusal(await register(given))).toEqual({ code, field });
      expect(await count()).toBe(before);
    },
  );

  test('is for administrators, and other callers do not even cause a check', async () => {
    checked = [];
    for (const caller of [user('WRITE'), user('SAFETY'), { ...CI, role: 'WRITE' } as Caller, GATEWAY])
      expect(refusal(await register(manifest(good), caller))).toEqual({ code: 'FORBIDDEN' });
    expect(checked).toEqual([]);
  });
});

describe('a registered operation', () => {
  const TEXT = 'query ($id: String, $sha256: String) { persistedOperation(id: $id, sha256: $sha256) { sha256 body } }';

  test('is listed for administrators, newest first', async () => {
    await register(manifest(operation('Newest')));
    const { data } = await ask<{ persistedOperations: { name: string }[] }>(
      administrator,
      '{ persistedOperations { name } }',
    );
    expect(data.persistedOperations[0]).toEqual({ name: 'Newest' });
    expect(data.persistedOperations).toHaveLength(await count());
    expect(refusal(await ask(user('WRITE'), '{ persistedOperations { name } }'))).toEqual({ code: 'FORBIDDEN' });
  });

  test('is found by id and by SHA-256, for gateways only', async () => {
    const found = operation('Found');
    await register(manifest({ ...found, id: 'found' }));
    const text = { persistedOperation: { sha256: found.id, body: found.body } };
    expect((await ask(GATEWAY, TEXT, { id: 'found' })).data).toEqual(text);
    expect((await ask(GATEWAY, TEXT, { sha256: found.id })).data).toEqual(text);
    expect((await ask(GATEWAY, TEXT, { id: 'unknown', sha256: found.id })).data).toEqual({ persistedOperation: null });
    expect(refusal(await ask(GATEWAY, TEXT))).toEqual({ code: 'BAD_USER_INPUT', field: 'id' });
    expect(refusal(await ask(administrator, TEXT, { id: 'found' }))).toEqual({ code: 'FORBIDDEN' });
  });
});
