/**
 * Every refusal that an operation can meet on its way through the gateway, driven over HTTP and over a websocket. The
 * errors have to be the same: message, path, place and extensions.
 */
import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { ERROR_CATALOGUE, FleetFlagError, type ErrorCode } from '../../core/errors.ts';
import { apiKeyHash, newApiKey } from '../../core/credentials/api-key.ts';
import { MAX_FAILURES } from '../../core/credentials/failed-credentials.ts';
import { OVER_THE_LIMIT } from '../operations/limits/testing/over-the-limit.ts';
import { OperationPipeline } from '../operations/pipeline.ts';
import { ACCOUNT_LIMITS } from '../operations/turns/account-limits.ts';
import { AccountConcurrency } from '../operations/turns/account-concurrency.ts';
import type { WireClient, WireError } from '../subscriptions/testing/wire-client.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { SESSION, ScriptedGateway, VIN } from '../testing/scripted-gateway.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const apollo = (sha256Hash: unknown, version: unknown = 1) => ({ persistedQuery: { version, sha256Hash } });

const FLAG = 'query Flag { flag(key: "eco") { key } }';
const SECRET = 'query Secret { fleet { total } }';
const PEOPLE = 'query People { flag(key: "eco") { updatedBy { name } } }';
/** The registered operations by id, with the keys that they are bound to. */
const REGISTERED: Readonly<Record<string, { body: string; apiKeys: string[] | null }>> = {
  flag: { body: FLAG, apiKeys: null },
  secret: { body: SECRET, apiKeys: ['somebody-else'] },
  people: { body: PEOPLE, apiKeys: null },
  stop: { body: 'mutation Stop { killSwitch(flagKey: "eco", reason: "x") { applied } }', apiKeys: null },
};

/** Keys by whose they are. */
const KEYS = { partner: newApiKey(), exhausted: newApiKey() };
const KNOWN: Readonly<Record<string, object>> = {
  [apiKeyHash(KEYS.partner)]: { id: 'k1', role: 'READ', rateLimitPerMin: 10_000, expiresAt: null },
  [apiKeyHash(KEYS.exhausted)]: { id: 'k2', role: 'READ', rateLimitPerMin: 0, expiresAt: null },
};

interface Operation {
  readonly query?: string;
  readonly id?: unknown;
  readonly documentId?: unknown;
  readonly extensions?: Record<string, unknown>;
  readonly operationName?: string;
  readonly variables?: Record<string, unknown>;
}

type Who = 'person' | 'partner' | 'exhausted' | 'car';

interface Refused {
  readonly what: string;
  readonly who: Who;
  readonly operation: Operation;
  readonly code: ErrorCode;
  /** Extensions that it has beside the code; those of a fault have a request id, too. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** What the gateway meets behind it. */
  readonly behind?: (gateway: ScriptedGateway) => void;
}

const CHANGES = 'subscription Changes($e: Environment = STAGING) { flagChanges(environment: $e) { revision } }';
const FLAGS_OF_PAGES =
  'query ($n: Int) { flags(first: $n) { nodes { history(first: 100) { nodes { user { name } } } } } }';
const away = new FleetFlagError('SERVICE_UNAVAILABLE', 'A part of the service is not answering; try again.', {
  retryAfter: 1,
});

const refused = (
  who: Who,
  code: ErrorCode,
  what: string,
  operation: Operation,
  details: Readonly<Record<string, unknown>> = {},
  behind?: Refused['behind'],
): Refused => ({ what, who, operation, code, details, ...(behind !== undefined && { behind }) });

const answers = (errors: readonly object[]) => (gateway: ScriptedGateway) => {
  gateway.answer = async () => structuredClone({ data: { flag: null }, errors }) as never;
};

/** The refusals that a client can get, in the order of the pipeline's steps. */
const REFUSALS: readonly Refused[] = [
  // The rate of a key.
  refused('exhausted', 'RATE_LIMITED', 'a key that has run too many', { id: 'flag' }, { limit: 0, retryAfter: 60 }),
  refused(
    'exhausted',
    'RATE_LIMITED',
    'a key over its rate, before its operation is read',
    { query: '{' },
    { limit: 0, retryAfter: 60 },
  ),

  // Which operation it is.
  ...(['person', 'partner', 'car'] as const).flatMap((who) => [
    refused(who, 'PERSISTED_QUERY_NOT_FOUND', 'an unknown id', { id: 'nothing' }),
    refused(who, 'PERSISTED_QUERY_NOT_FOUND', 'an unknown hash', { extensions: apollo(sha256('nothing')) }),
    refused(who, 'BAD_USER_INPUT', 'an invalid id', { id: 7 }, { field: 'id' }),
    refused(who, 'BAD_USER_INPUT', 'an id that is empty', { id: '' }, { field: 'id' }),
    refused(
      who,
      'BAD_USER_INPUT',
      'a document id that is no SHA-256',
      { documentId: 'sha256:x' },
      { field: 'documentId' },
    ),
    refused(who, 'BAD_USER_INPUT', 'two names', { id: 'flag', documentId: 'flag' }, { field: 'id' }),
    refused(
      who,
      'BAD_USER_INPUT',
      'another version of hashes',
      { extensions: apollo(sha256(FLAG), 2) },
      { field: 'extensions.persistedQuery.version' },
    ),
    refused(
      who,
      'BAD_USER_INPUT',
      'an invalid hash',
      { extensions: apollo('x') },
      { field: 'extensions.persistedQuery.sha256Hash' },
    ),
    refused(
      who,
      'SERVICE_UNAVAILABLE',
      'an operation that cannot be looked up',
      { id: `away-${who}` },
      { retryAfter: 1 },
    ),
    refused(who, 'INTERNAL_SERVER_ERROR', 'a registry that fails', { id: `broken-${who}` }),
  ]),
  ...(['person', 'car'] as const).flatMap((who) => [
    refused(
      who,
      'BAD_USER_INPUT',
      "another text's hash",
      { query: '{ __typename }', extensions: apollo(sha256(FLAG)) },
      { field: 'extensions.persistedQuery.sha256Hash' },
    ),
    refused(who, 'BAD_USER_INPUT', 'an id beside a text', { query: '{ __typename }', id: 'flag' }, { field: 'id' }),
  ]),
  refused('partner', 'PERSISTED_QUERY_REQUIRED', 'a text', { query: FLAG }),
  refused('partner', 'PERSISTED_QUERY_REQUIRED', 'neither a text nor a name', { query: '' }),
  refused('partner', 'PERSISTED_QUERY_REQUIRED', 'a text beside an id', { query: FLAG, id: 'flag' }),
  refused('partner', 'PERSISTED_QUERY_REQUIRED', "a text beside another's hash", {
    query: FLAG,
    extensions: apollo(sha256(SECRET)),
  }),
  refused('partner', 'PERSISTED_QUERY_REQUIRED', 'a text that is not registered, beside its hash', {
    query: '{ __typename }',
    extensions: apollo(sha256('{ __typename }')),
  }),
  refused('partner', 'PERSISTED_QUERY_NOT_FOUND', 'an operation that is bound to another key', { id: 'secret' }),
  refused('partner', 'FORBIDDEN', 'personal data that is bound to nobody', { id: 'people' }),

  // The document.
  refused('person', 'BAD_USER_INPUT', 'neither a text nor a name', { query: '' }),
  refused('person', 'BAD_USER_INPUT', 'a syntax error', { query: 'query { flag(' }),
  refused('person', 'BAD_USER_INPUT', 'no operation at all', { query: 'fragment F on Flag { key }' }),
  refused(
    'person',
    'BAD_USER_INPUT',
    'an unknown field',
    { query: '{ flag(key: "eco") { colour } }' },
    { field: 'flag.colour' },
  ),
  refused(
    'person',
    'BAD_USER_INPUT',
    'several faults',
    { query: '{ colour { x } flag { key } }' },
    { field: 'colour' },
  ),
  refused(
    'car',
    'BAD_USER_INPUT',
    'an unknown field of a subscription',
    { query: 'subscription { colours { x } }' },
    { field: 'colours' },
  ),
  refused(
    'car',
    'BAD_USER_INPUT',
    'a variable in @include at the root of a subscription',
    {
      query: 'subscription ($v: Boolean!) { flagChanges(environment: STAGING) @include(if: $v) { revision } }',
      variables: { v: true },
    },
    { field: 'if' },
  ),
  refused(
    'person',
    'BAD_USER_INPUT',
    'a number that is not finite',
    { query: '{ flags(first: 1e999) { totalCount } }' },
    { field: 'first' },
  ),
  ...OVER_THE_LIMIT.filter(({ limit }) => limit !== 'cost').map(({ what, query, limit }) =>
    refused('person', 'LIMIT_EXCEEDED', `${limit}: ${what}`, { query }, { limit: expect.any(Number) }),
  ),

  // Which of its operations.
  refused(
    'person',
    'BAD_USER_INPUT',
    'an operation that the document does not have',
    { query: FLAG, operationName: 'Other' },
    { field: 'operationName' },
  ),
  refused(
    'person',
    'BAD_USER_INPUT',
    'several operations and no name',
    { query: 'query A { __typename } query B { __typename }' },
    { field: 'operationName' },
  ),
  refused(
    'car',
    'BAD_USER_INPUT',
    'several subscriptions and no name',
    { query: `${CHANGES} ${CHANGES.replace('Changes', 'Others')}` },
    { field: 'operationName' },
  ),

  // Permission, and what it is asked with.
  refused('person', 'FORBIDDEN', 'a query', { query: '{ users { totalCount } }' }),
  refused('person', 'FORBIDDEN', 'a mutation under another name', {
    query: 'mutation { gone: revokeApiKey(id: "x") { id } }',
  }),
  refused('partner', 'FORBIDDEN', 'a registered mutation', { id: 'stop' }),
  refused('car', 'FORBIDDEN', 'the stream of another environment', { query: CHANGES, variables: { e: 'PRODUCTION' } }),
  refused('car', 'FORBIDDEN', 'the stream of another environment, although a variable does not fit as well', {
    query:
      'subscription ($e: Environment!, $v: Boolean!) { flagChanges(environment: $e) { revision @include(if: $v) } }',
    variables: { e: 'PRODUCTION', v: 'yes' },
  }),
  refused(
    'person',
    'BAD_USER_INPUT',
    'a variable that is missing',
    {
      query: 'query ($key: String!) { flag(key: $key) { key } }',
    },
    { field: 'key' },
  ),
  refused(
    'person',
    'BAD_USER_INPUT',
    'a variable of another type',
    { query: 'query ($key: String!) { flag(key: $key) { key } }', variables: { key: 7 } },
    { field: 'key' },
  ),
  refused(
    'person',
    'BAD_USER_INPUT',
    'an unknown member',
    {
      query: 'mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }',
      variables: { input: { colour: 'red' } },
    },
    { field: expect.stringMatching(/^input\./) },
  ),
  refused(
    'person',
    'BAD_USER_INPUT',
    'null for a variable that has a default',
    { query: CHANGES, variables: { e: null } },
    { field: 'environment' },
  ),
  refused(
    'person',
    'BAD_USER_INPUT',
    'a variable of a subscription of another type',
    { query: CHANGES, variables: { e: 'MOON' } },
    { field: 'e' },
  ),
  refused('car', 'FORBIDDEN', 'a stream of no environment', { query: CHANGES, variables: { e: 'MOON' } }),

  // The cost.
  ...OVER_THE_LIMIT.filter(({ limit }) => limit === 'cost').map(({ what, query, limit }) =>
    refused('person', 'LIMIT_EXCEEDED', `${limit}: ${what}`, { query }, { limit: 10_000 }),
  ),
  refused(
    'person',
    'LIMIT_EXCEEDED',
    'cost: by a variable',
    { query: FLAGS_OF_PAGES, variables: { n: 100 } },
    { limit: 10_000 },
  ),

  // What comes back.
  refused('person', 'SERVICE_UNAVAILABLE', 'a subgraph that is down', { query: FLAG }, { retryAfter: 1 }, (gateway) => {
    gateway.answer = () => Promise.reject(away);
  }),
  refused(
    'person',
    'SERVICE_UNAVAILABLE',
    'a database that is down',
    { query: FLAG },
    {},
    answers([
      {
        message: 'The database is not available; a retry is safe.',
        path: ['flag'],
        extensions: { code: 'SERVICE_UNAVAILABLE' },
      },
    ]),
  ),
  refused(
    'person',
    'NOT_FOUND',
    'what a subgraph does not find',
    { query: FLAG },
    { field: 'key' },
    answers([{ message: 'There is no flag "eco".', path: ['flag'], extensions: { code: 'NOT_FOUND', field: 'key' } }]),
  ),
  refused(
    'person',
    'CONFLICT',
    'what does not fit the present state',
    { query: FLAG },
    { currentRevision: 7 },
    answers([{ message: 'Changed since.', path: ['flag'], extensions: { code: 'CONFLICT', currentRevision: 7 } }]),
  ),
  refused(
    'person',
    'INTERNAL_SERVER_ERROR',
    'a fault of a subgraph',
    { query: FLAG },
    {},
    answers([{ message: 'connect ECONNREFUSED', path: ['flag'], extensions: { serviceName: 'flags' } }]),
  ),
  refused('person', 'INTERNAL_SERVER_ERROR', 'a fault of the gateway', { query: FLAG }, {}, (gateway) => {
    gateway.answer = () => Promise.reject(new Error('connect ECONNREFUSED'));
  }),
];

let gateway: ScriptedGateway;
let fresh: Pick<ScriptedGateway, 'answer' | 'findSession'>;

async function scripted(over: Parameters<typeof ScriptedGateway.start>[0] = {}): Promise<ScriptedGateway> {
  const started = await ScriptedGateway.start(over);
  started.answer = async () => ({ data: { flag: { key: 'eco', id: 'f1', __typename: 'Flag' } } });
  started.answerGateway = async ({ query, variables = {} }) => {
    if (!query.includes('persistedOperation'))
      return {
        data: Object.fromEntries(
          Object.entries(variables).map(([name, hash]) => [name.replace('h', 'k'), KNOWN[hash as string] ?? null]),
        ),
      };
    if (String(variables['id']).startsWith('away')) throw away;
    if (String(variables['id']).startsWith('broken')) return { errors: [{ message: 'connect ECONNREFUSED' }] };
    const found = Object.entries(REGISTERED).find(
      ([id, { body }]) => id === variables['id'] || sha256(body) === variables['sha256'],
    )?.[1];
    return { data: { persistedOperation: found === undefined ? null : { sha256: sha256(found.body), ...found } } };
  };
  return started;
}

const credentialsOf = async (who: Who): Promise<Record<string, string>> =>
  who === 'person'
    ? { authorization: `Bearer ${SESSION}` }
    : who === 'car'
      ? {
          authorization: `Bearer ${await gateway.vehicleTokens.issue(VIN, 'staging', new Date(Date.now() + 600_000))}`,
        }
      : { 'x-api-key': KEYS[who] };

const sockets = new Map<Who, WireClient>();
async function socketOf(who: Who): Promise<WireClient> {
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

async function overHttp(of: ScriptedGateway, credentials: Record<string, string>, operation: Operation) {
  return withoutIds((await of.post(operation, credentials)).body.errors as WireError[] | undefined);
}

let operations = 0;
async function overSocket(client: WireClient, operation: Operation) {
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
  gateway = await scripted();
  fresh = { answer: gateway.answer, findSession: gateway.findSession };
});
afterEach(() => {
  Object.assign(gateway, fresh);
});
afterAll(() => gateway.close());

describe('a refusal', () => {
  test.each(REFUSALS)('is the same over HTTP and a websocket: $code to $who for $what', async (row) => {
    row.behind?.(gateway);
    const http = await overHttp(gateway, await credentialsOf(row.who), row.operation);
    const socket = await overSocket(await socketOf(row.who), row.operation);
    const isFault = row.code === 'INTERNAL_SERVER_ERROR';
    expect(http?.[0]?.extensions).toEqual({ code: row.code, ...row.details, ...(isFault && { requestId: true }) });
    expect(socket).toEqual(http);
  });

  test('of each code of the catalogue is among them', () => {
    const codes = new Set(REFUSALS.map(({ code }) => code));
    expect(Object.keys(ERROR_CATALOGUE).filter((code) => !codes.has(code as ErrorCode))).toEqual(['UNAUTHENTICATED']);
  });

  test.each([
    ['a query about the schema', '{ __schema { queryType { name } } }'],
    ['a type', '{ __type(name: "Flag") { name } }'],
    ['a name that is nearly right', '{ flg(key: "x") { key } }'],
    ['a variable that is nearly right', 'query ($e: Environment = STAGE) { flagSync(environment: $e) { revision } }'],
  ])('is the same where introspection is off: %s', async (_what, query) => {
    const closed = await scripted({ introspection: false });
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
    const full = Array.from({ length: runningOperations + waitingOperations }, () => gateway.ask(FLAG));
    await eventually(() => take.mock.calls.length === full.length, 'all are in the queue');
    take.mockRestore();
    const http = await overHttp(gateway, await credentialsOf('person'), { query: FLAG });
    expect(http?.[0]?.extensions).toEqual({
      code: 'RATE_LIMITED',
      limit: runningOperations + waitingOperations,
      retryAfter: 2,
    });
    expect(await overSocket(await socketOf('person'), { query: FLAG })).toEqual(http);
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
    ['a key where a session belongs', { authorization: `Bearer ${KEYS.partner}` }],
    ['a session where a key belongs', { 'x-api-key': SESSION }],
    ['two callers', { authorization: `Bearer ${SESSION}`, 'x-api-key': KEYS.partner }],
  ])('that are wrong are refused in the same words, which close a socket with 4403: %s', async (_what, credentials) => {
    const refusal = await error(credentials);
    expect(refusal?.extensions).toEqual({ code: 'UNAUTHENTICATED' });
    const closed = { code: 4403, reason: `Forbidden: ${refusal?.message}`.slice(0, 120) };
    expect(await byHeaderAndByPayload(credentials)).toEqual([closed, closed]);
  });

  test.each<[string, Error, ErrorCode]>([
    ['an outage', away, 'SERVICE_UNAVAILABLE'],
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

  test('that nobody has shown are for signing in over HTTP only: a socket needs some', async () => {
    expect(await error({})).toBeUndefined();
    expect((await overHttp(gateway, {}, { query: FLAG }))?.[0]?.extensions).toEqual({ code: 'UNAUTHENTICATED' });
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
