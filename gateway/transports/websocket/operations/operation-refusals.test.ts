import { afterEach, describe, expect, test } from '@jest/globals';
import { FleetFlagError } from '../../../../core/errors.ts';
import { OPERATION_LIMITS } from '../../../operations/limits/operation-limits.ts';
import { gatewayUnderTest, type GatewayUnderTest } from '../testing/gateway-under-test.ts';
import { PERMISSIONS } from '../../../../core/access/permissions.ts';

const NARROW = 'subscription ($e: String!) { changes(environment: $e) { revision flag { key note } } }';
const production = { variables: { e: 'production' } };

let gateway: GatewayUnderTest;
const start = async (...options: Parameters<typeof gatewayUnderTest>) => (gateway = await gatewayUnderTest(...options));
const change = (revision: number, note?: string) =>
  gateway.changes.emit({
    environment: 'production',
    revision,
    flag: { key: `flag-${revision}`, ...(note === undefined ? {} : { note }) },
  });
afterEach(() => gateway.stop());

describe('a document that cannot run', () => {
  test.each([
    ['a syntax error', 'subscription {', {}],
    ['an unknown field', 'subscription { changes(environment: "production") { nothing } }', {}],
    [
      'two root fields',
      'subscription { changes(environment: "production") { revision } b: changes(environment: "x") { revision } }',
      {},
    ],
    [
      'a variable in the root @include',
      'subscription ($v: Boolean!) { changes(environment: "production") @include(if: $v) { revision } }',
      { variables: { v: true } },
    ],
    ['nothing left by @skip', 'subscription { changes(environment: "production") @skip(if: true) { revision } }', {}],
    ['a missing variable', NARROW, {}],
    ['a variable of the wrong type', NARROW, { variables: { e: 5 } }],
    [
      'an unknown operation name',
      'subscription A { changes(environment: "production") { revision } }',
      { operationName: 'B' },
    ],
    ['no operation at all', 'fragment F on Change { revision }', {}],
  ])(
    '(%s) is answered by an error for its id, and leaves the socket and its other operations running',
    async (_, query, more) => {
      await start();
      const client = await gateway.client();
      client.subscribe('good', NARROW, production);
      client.subscribe('bad', query, more);
      const errors = await client.error('bad');
      expect(errors.length).toBeGreaterThan(0);
      expect(errors[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT' });
      await gateway.operations(1);
      change(1);
      await client.result('good');
      client.subscribe('bad', NARROW, production);
      await gateway.operations(2);
      expect(client.closed).toBeNull();
    },
  );

  test('is refused by its number of tokens before it is parsed', async () => {
    await start();
    const client = await gateway.client();
    client.subscribe('a', `{ ${'revision '.repeat(OPERATION_LIMITS.tokens)} }`);
    expect((await client.error('a'))[0]?.message).toContain('token');
  });
});

describe('a caller', () => {
  test('who may not run an operation gets an error for it', async () => {
    await start();
    const client = await gateway.client();
    client.subscribe('a', NARROW, { variables: { e: 'elsewhere' } });
    expect(await client.error('a')).toEqual([{ message: 'Not your environment.', extensions: { code: 'FORBIDDEN' } }]);
    expect(gateway.server.counters().upstreams).toBe(0);
  });

  test('who is not authenticated is closed with 4403, and with 1013 when the credentials cannot be looked up', async () => {
    await start();
    for (const [authorization, code] of [
      ['bad', 4403],
      ['down', 1013],
    ] as const) {
      const client = await gateway.rawClient().opened();
      client.send({ type: 'connection_init', payload: { authorization } });
      expect((await client.close()).code).toBe(code);
    }
  });

  test('whose credential expires is closed with 4403', async () => {
    let expiresAt = new Date(0);
    await start({
      authenticate: () => {
        // Counted from here, so that a slow handshake does not outlast the credential.
        expiresAt = new Date(Date.now() + 60);
        return Promise.resolve({ caller: { kind: 'user', userId: 'u', role: 'READ', sessionKey: null }, expiresAt });
      },
    });
    const client = await gateway.client();
    expect(await client.close()).toEqual({ code: 4403, reason: 'Forbidden' });
    expect(Date.now()).toBeGreaterThanOrEqual(expiresAt.getTime());
  });

  test('whose credential is revoked is closed with 4403, others are not', async () => {
    await start({
      authenticate: ({ session }) =>
        Promise.resolve({
          caller: { kind: 'user', userId: 'u', role: 'READ', sessionKey: null },
          credential: String(session),
        }),
    });
    const [revoked, other] = await Promise.all([
      gateway.client({ session: 'one' }),
      gateway.client({ session: 'two' }),
    ]);
    expect(gateway.server.disconnect(({ credential }) => credential === 'one')).toBe(1);
    expect((await revoked.close()).code).toBe(4403);
    other.subscribe('a', NARROW, production);
    await gateway.operations(1);
    expect(other.closed).toBeNull();
  });

  test('may have an operation looked up, and is refused what the lookup refuses', async () => {
    await start({
      steps: {
        async name(_caller, naming) {
          const { extensions, id } = naming() as { extensions?: { id?: unknown }; id?: unknown };
          if (extensions?.id !== 'known' && id !== 'known')
            throw new FleetFlagError('BAD_USER_INPUT', 'Not registered.');
          return { sha256: '', body: NARROW };
        },
      },
    });
    const client = await gateway.client();
    client.subscribe('a', '', { ...production, extensions: { id: 'known' } });
    client.subscribe('b', '', { ...production, extensions: { id: 'unknown' } });
    expect((await client.error('b'))[0]?.message).toBe('Not registered.');
    client.send({ id: 'c', type: 'subscribe', payload: { id: 'known', ...production } });
    await gateway.operations(2);
    change(1);
    await Promise.all([client.result('a'), client.result('c')]);
  });
});

test('no subscription asks for more of a caller than its scope: what was permitted to one is to all of the scope', () => {
  const subscriptions = Object.entries(PERMISSIONS).filter(([name]) => name.startsWith('Subscription.'));
  expect(subscriptions.length).toBeGreaterThan(3);
  expect(subscriptions.filter(([, { vehicle }]) => vehicle === 'ownVin')).toEqual([]);
});
