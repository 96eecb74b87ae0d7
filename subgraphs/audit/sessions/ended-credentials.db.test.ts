import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { JsonValue } from '../../../core/model.ts';
import type { Caller } from '../../../core/access/caller.ts';
import type { SubgraphStream } from '../../../core/wire/subgraph/subgraph.ts';
import { appendAudit, type AuditEntry } from '../../shared/audit/audit-log.ts';
import { createInProcessBus } from '../../shared/feeds/bus.ts';
import { connectInProcess } from '../../shared/subgraph/in-process-connection.ts';
import { createInProcessStore } from '../../shared/stores/key-value-store.ts';
import { createInProcessRateLimiter } from '../../shared/stores/rate-limiter.ts';
import { identityOf, silent, user } from '../../shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import { endedBy } from './ended-credentials.ts';
import { startAudit } from '../subgraph.ts';
import { headPosition } from '../../shared/audit/head-position.ts';
import { endNoPlans } from '../../shared/testing/no-plans.ts';
import { testWebhookSettings } from '../../shared/testing/webhook-settings.ts';

const ENDED =
  'subscription ($after: Int) { endedCredentials(after: $after) { position userId sessionKey apiKeyId vin } }';
const NOTHING = { userId: null, sessionKey: null, apiKeyId: null, vin: null };

let database: TestDatabase;
let connection: ReturnType<typeof connectInProcess>;
let close: () => Promise<void>;
let streams: SubgraphStream[] = [];
const prisma = () => database.database.prisma;

beforeAll(async () => {
  database = await createTestDatabase();
  const started = await startAudit({
    webhooks: testWebhookSettings,
    endPlans: endNoPlans,
    prisma: prisma(),
    sessions: createInProcessStore(),
    bus: createInProcessBus(),
    limiter: createInProcessRateLimiter(),
    checkOperation: () => [],
    logger: silent,
  });
  connection = connectInProcess(started.subgraph, async () => true);
  close = () => started.close();
});
afterEach(async () => {
  for (const stream of streams) await stream.return?.();
  streams = [];
});
afterAll(async () => {
  await close();
  await database.drop();
});

/** Appends an entry and gives its position. */
async function append(entry: AuditEntry): Promise<number> {
  await prisma().$transaction((tx) => appendAudit(tx, identityOf(user('ADMIN')), entry));
  return headPosition(prisma());
}

function follow(after: number | null, caller: Caller = { kind: 'gateway' }) {
  const stream = connection.subscribe({ query: ENDED, variables: { after }, identity: identityOf(caller) });
  streams.push(stream);
  return async () => {
    const { value } = (await stream.next()) as {
      value: { data?: { endedCredentials: unknown }; errors?: readonly { extensions?: unknown }[] };
    };
    return value.errors ?? value.data?.endedCredentials;
  };
}

describe('ended credentials', () => {
  test('are delivered as they end, each with what identifies it, and nothing else is', async () => {
    const next = follow(null);
    expect(await next()).toEqual({ ...NOTHING, position: await headPosition(prisma()) });
    await append({ action: 'UPDATE_USER', after: { id: 'u0', department: 'Body' } });
    const one = await append({ action: 'UPDATE_USER', after: { id: 'u1', isActive: false, endsSessions: true } });
    await append({ action: 'CREATE_API_KEY', after: { id: 'k0' } });
    const two = await append({ action: 'CHANGE_PASSWORD', after: { id: 'u2', endsSessions: true } });
    const three = await append({ action: 'SIGN_OUT', after: { session: 'session:x' } });
    const four = await append({ action: 'REVOKE_API_KEY', after: { id: 'k1', name: 'tier1' } });
    const five = await append({ action: 'REVOKE_VEHICLE_TOKENS', after: { vin: 'KMHK281HGNU000001' } });
    expect([await next(), await next(), await next(), await next(), await next()]).toEqual([
      { ...NOTHING, position: one, userId: 'u1' },
      { ...NOTHING, position: two, userId: 'u2' },
      { ...NOTHING, position: three, sessionKey: 'session:x' },
      { ...NOTHING, position: four, apiKeyId: 'k1' },
      { ...NOTHING, position: five, vin: 'KMHK281HGNU000001' },
    ]);
  });

  test('that ended while a gateway was away are delivered from its last position', async () => {
    const known = await headPosition(prisma());
    const position = await append({ action: 'REVOKE_API_KEY', after: { id: 'k2' } });
    const next = follow(known);
    expect(await next()).toEqual({ ...NOTHING, position: known });
    expect(await next()).toEqual({ ...NOTHING, position, apiKeyId: 'k2' });
  });

  test('are delivered from the end when the position is beyond it, as after a restore', async () => {
    const end = await headPosition(prisma());
    const next = follow(end + 1_000);
    expect(await next()).toEqual({ ...NOTHING, position: end });
    const position = await append({ action: 'SIGN_OUT', after: { session: 'session:y' } });
    expect(await next()).toEqual({ ...NOTHING, position, sessionKey: 'session:y' });
  });

  test('come with positions, so that a reader does not read the entries since the last of them again', async () => {
    const begin = await headPosition(prisma());
    const next = follow(begin);
    await next();
    await prisma().$transaction(
      async (tx) => {
        for (let count = 0; count < 100; count++)
          await appendAudit(tx, identityOf(user('READ')), { action: 'SIGN_IN', after: {} });
      },
      { timeout: 30_000 },
    );
    expect(await next()).toEqual({ ...NOTHING, position: begin + 100 });
  });

  test.each<[string, JsonValue]>([
    ['UPDATE_USER', { endsSessions: true }],
    ['UPDATE_USER', { id: 'u', endsSessions: 'yes' }],
    ['CHANGE_PASSWORD', ['id']],
    ['SIGN_OUT', { session: 7 }],
    ['REVOKE_API_KEY', null],
    ['CREATE_API_KEY', { id: 'k' }],
  ])('are not read from an entry %s of %j', (action, afterValue) => {
    expect(endedBy({ position: 1, action, afterValue })).toBeNull();
  });

  test('are delivered to gateways only', async () => {
    expect(await follow(null, user('ADMIN'))()).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  });
});
