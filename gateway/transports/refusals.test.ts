/**
 * Every refusal that an operation can meet on its way through the gateway, driven over HTTP and over a websocket. The
 * errors have to be the same: message, path, place and extensions.
 */
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { ERROR_CATALOGUE, type ErrorCode } from '../../core/errors.ts';
import { newApiKey } from '../../core/credentials/api-key.ts';
import { MAX_FAILURES } from '../../core/credentials/failed-credentials.ts';
import { OVER_THE_LIMIT } from '../operations/limits/testing/over-the-limit.ts';
import { OperationPipeline } from '../operations/pipeline.ts';
import { ACCOUNT_LIMITS } from '../operations/turns/account-limits.ts';
import { AccountConcurrency } from '../operations/turns/account-concurrency.ts';
import type { WireClient, WireError } from '../subscriptions/testing/wire-client.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { SESSION, VIN, type ScriptedGateway } from '../testing/scripted-gateway.ts';
import {
  ECO_FLAG_QUERY,
  CALLING_KEYS,
  type RefusalOperation,
  type RefusedCaller,
  PART_AWAY,
  OPERATION_REFUSALS,
  refusingGateway,
} from '../testing/refused-operations.ts';

let gateway: ScriptedGateway;
let fresh: Pick<ScriptedGateway, 'answer' | 'findSession'>;

const credentialsOf = async (who: RefusedCaller): Promise<Record<string, string>> =>
  who === 'person'
    ? { authorization: `Bearer ${SESSION}` }
    : who === 'car'
      ? {
          authorization: `Bearer ${await gateway.vehicleTokens.issue(VIN, 'staging', new Date(Date.now() + 600_000))}`,
        }
      : { 'x-api-key': CALLING_KEYS[who] };

const sockets = new Map<RefusedCaller, WireClient>();
async function socketOf(who: RefusedCaller): Promise<WireClient> {
  let client = sockets.get(who);
  if (client === undefined) sockets.set(who, (client = await gateway.socket().acknowledged(await credentialsOf(who))));
  return client;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Gives the errors without their request ids, which no two requests share. */
const withoutIds = (errors: readonly WireError[] | undefined) =>
  errors?.map(({ extensions: { requestId, ...extensions } = {}, ...error }) => ({
    ...error,
    extensions: { ...extensions, ...(requestId !== undefined && { requestId: UUID.test(requestId as string) }) },
  }));

async function overHttp(of: ScriptedGateway, credentials: Record<string, string>, operation: RefusalOperation) {
  return withoutIds((await of.post(operation, credentials)).body.errors as WireError[] | undefined);
}

let operations = 0;
async function overSocket(client: WireClient, operation: RefusalOperation) {
  const id = `refused-${++operations}`;
  client.send({ id, type: 'subscribe', payload: operation });
  const { type, payload } = await eventually(
    () =>
      client.received.find((message) => message.id === id) ??
      (client.closed !== null && { type: 'closed', payload: undefined }),
    `an answer to ${JSON.stringify(operation)}`,
  );
  return withoutIds(type === 'error' ? payload : payload?.errors);
}

beforeAll(async () => {
  gateway = await refusingGateway();
  fresh = { answer: gateway.answer, findSession: gateway.findSession };
});
afterEach(() => {
  Object.assign(gateway, fresh);
});
afterAll(() => gateway.close());

describe('a refusal', () => {
  test.each(OPERATION_REFUSALS)('is the same over HTTP and a websocket: $code to $who for $what', async (row) => {
    row.behind?.(gateway);
    const http = await overHttp(gateway, await credentialsOf(row.who), row.operation);
    const socket = await overSocket(await socketOf(row.who), row.operation);
    const isFault = row.code === 'INTERNAL_SERVER_ERROR';
    expect(http?.[0]?.extensions).toEqual({ code: row.code, ...row.details, ...(isFault && { requestId: true }) });
    expect(socket).toEqual(http);
  });

  test('of each code of the catalogue is among them', () => {
    const codes = new Set(OPERATION_REFUSALS.map(({ code }) => code));
    expect(Object.keys(ERROR_CATALOGUE).filter((code) => !codes.has(code as ErrorCode))).toEqual(['UNAUTHENTICATED']);
  });

  test.each([
    ['a query about the schema', '{ __schema { queryType { name } } }'],
    ['a type', '{ __type(name: "Flag") { name } }'],
    ['a name that is nearly right', '{ flg(key: "x") { key } }'],
    ['a variable that is nearly right', 'query ($e: Environment = STAGE) { flagSync(environment: $e) { revision } }'],
  ])('is the same where introspection is off: %s', async (_what, query) => {
    const closed = await refusingGateway({ introspection: false });
    try {
      const http = await overHttp(closed, { authorization: `Bearer ${SESSION}` }, { query });
      expect(http?.[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT' });
      expect(await overSocket(await closed.client(), { query })).toEqual(http);
    } finally {
      await closed.close();
    }
  });

  test.each([
    ['a syntax error', '{ flag('],
    ['an unknown field', '{ flag(key: "eco") { colour } }'],
    ['a limit', OVER_THE_LIMIT.find(({ limit }) => limit === 'aliases')?.query ?? ''],
  ])('is the same where the document has been pushed out of memory while it is read: %s', async (_what, query) => {
    const held = await overHttp(gateway, await credentialsOf('person'), { query });
    const prepared = jest.spyOn(OperationPipeline.prototype, 'prepared').mockReturnValue(undefined);
    try {
      expect(await overHttp(gateway, await credentialsOf('person'), { query })).toEqual(held);
      expect(prepared).toHaveBeenCalled();
    } finally {
      prepared.mockRestore();
    }
  });

  test('is the same where an account has as much running and waiting as it may', async () => {
    const { runningOperations, waitingOperations } = ACCOUNT_LIMITS;
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    gateway.answer = async () => {
      await released;
      return { data: { flag: null } };
    };
    const take = jest.spyOn(AccountConcurrency.prototype, 'acquire');
    const full = Array.from({ length: runningOperations + waitingOperations }, () => gateway.ask(ECO_FLAG_QUERY));
    await eventually(() => take.mock.calls.length === full.length, 'all are in the queue');
    take.mockRestore();
    const http = await overHttp(gateway, await credentialsOf('person'), { query: ECO_FLAG_QUERY });
    expect(http?.[0]?.extensions).toEqual({
      code: 'RATE_LIMITED',
      limit: runningOperations + waitingOperations,
      retryAfter: 2,
    });
    expect(await overSocket(await socketOf('person'), { query: ECO_FLAG_QUERY })).toEqual(http);
    release();
    await Promise.all(full);
  });
});

describe('credentials', () => {
  const byHeaderAndByPayload = async (credentials: Record<string, string>) => {
    const [byHeader, byPayload] = [gateway.socket(credentials), gateway.socket()];
    await Promise.all([byHeader.opened(), byPayload.opened()]);
    byHeader.send({ type: 'connection_init' });
    byPayload.send({ type: 'connection_init', payload: credentials });
    return Promise.all([byHeader.close(), byPayload.close()]);
  };
  const error = async (credentials: Record<string, string>) =>
    (await overHttp(gateway, credentials, { query: '{ __typename }' }))?.[0];

  test.each<[string, Record<string, string>]>([
    ['an unknown session', { authorization: 'Bearer ffs_unknown' }],
    ['a forged vehicle token', { authorization: 'Bearer eyJhbGciOiJub25lIn0.e30.' }],
    ['another scheme', { authorization: 'Basic YWRtaW46YWRtaW4=' }],
    ['an unknown key', { 'x-api-key': newApiKey() }],
    ['a key where a session belongs', { authorization: `Bearer ${CALLING_KEYS.partner}` }],
    ['a session where a key belongs', { 'x-api-key': SESSION }],
    ['two callers', { authorization: `Bearer ${SESSION}`, 'x-api-key': CALLING_KEYS.partner }],
  ])('that are wrong are refused in the same words, which close a socket with 4403: %s', async (_what, credentials) => {
    const refusal = await error(credentials);
    expect(refusal?.extensions).toEqual({ code: 'UNAUTHENTICATED' });
    const closed = { code: 4403, reason: `Forbidden: ${refusal?.message}`.slice(0, 120) };
    expect(await byHeaderAndByPayload(credentials)).toEqual([closed, closed]);
  });

  test.each<[string, Error, ErrorCode]>([
    ['an outage', PART_AWAY, 'SERVICE_UNAVAILABLE'],
    ['a fault', new Error('connect ECONNREFUSED'), 'INTERNAL_SERVER_ERROR'],
  ])(
    'that cannot be looked up are no refusal of the caller, and close a socket with 1013: %s',
    async (_what, failure, code) => {
      gateway.findSession = () => Promise.reject(failure);
      const credentials = { authorization: `Bearer ${SESSION}` };
      expect((await error(credentials))?.extensions).toMatchObject({ code });
      const closed = { code: 1013, reason: 'Try again later' };
      expect(await byHeaderAndByPayload(credentials)).toEqual([closed, closed]);
    },
  );

  test('that end are refused, and close the sockets that they opened with 4403', async () => {
    const client = await gateway.client();
    await eventually(() => gateway.endedCredentials.open > 0, 'the gateway to follow');
    const userId = '0198f0aa-0000-7000-8000-000000000001';
    gateway.endedSessions = async (keys) => new Set(keys);
    gateway.endedCredentials.emit({
      data: { endedCredentials: { position: 1, userId, sessionKey: null, apiKeyId: null, vin: null } },
    });
    expect(await client.close()).toEqual({ code: 4403, reason: 'Forbidden' });
    sockets.clear();
    gateway.findSession = async () => null;
    expect((await error({ authorization: `Bearer ${SESSION}` }))?.extensions).toEqual({ code: 'UNAUTHENTICATED' });
  });

  test('may be absent over HTTP, where an anonymous caller signs in; a socket needs some', async () => {
    expect(await error({})).toBeUndefined();
    expect((await overHttp(gateway, {}, { query: ECO_FLAG_QUERY }))?.[0]?.extensions).toEqual({
      code: 'UNAUTHENTICATED',
    });
    const closed = {
      code: 4403,
      reason: 'Forbidden: connection_init has no credentials: send authorization or x-api-key in its payload.',
    };
    expect(await byHeaderAndByPayload({})).toEqual([closed, closed]);
  });

  // Last: its address may guess no more.
  test('that are guessed are RATE_LIMITED, and close a socket with 1013', async () => {
    for (let guess = 0; guess < MAX_FAILURES; guess++) await error({ 'x-api-key': newApiKey() });
    const guessed = { 'x-api-key': newApiKey() };
    expect((await error(guessed))?.extensions).toEqual({ code: 'RATE_LIMITED', retryAfter: expect.any(Number) });
    const closed = { code: 1013, reason: 'Try again later' };
    expect(await byHeaderAndByPayload(guessed)).toEqual([closed, closed]);
  });
});
