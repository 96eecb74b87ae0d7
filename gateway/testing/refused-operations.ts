/** The refusals that a client can get of an operation, and a gateway that gives them. */
import { createHash } from 'node:crypto';
import { expect } from '@jest/globals';
import { FleetFlagError, type ErrorCode } from '../../core/errors.ts';
import { apiKeyHash, newApiKey } from '../../core/credentials/api-key.ts';
import { OVER_THE_LIMIT } from '../operations/limits/testing/over-the-limit.ts';
import { ScriptedGateway } from './scripted-gateway.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const apollo = (sha256Hash: unknown, version: unknown = 1) => ({ persistedQuery: { version, sha256Hash } });

export const ECO_FLAG_QUERY = 'query Flag { flag(key: "eco") { key } }';
const SECRET = 'query Secret { fleet { total } }';
const PEOPLE = 'query People { flag(key: "eco") { updatedBy { name } } }';
/** The registered operations by id, with the keys that they are bound to. */
const REGISTERED: Readonly<Record<string, { body: string; apiKeys: string[] | null }>> = {
  flag: { body: ECO_FLAG_QUERY, apiKeys: null },
  secret: { body: SECRET, apiKeys: ['somebody-else'] },
  people: { body: PEOPLE, apiKeys: null },
  stop: { body: 'mutation Stop { killSwitch(flagKey: "eco", reason: "x") { applied } }', apiKeys: null },
};

/** API keys by the caller that uses them. */
export const CALLING_KEYS = { partner: newApiKey(), exhausted: newApiKey() };
const KNOWN: Readonly<Record<string, object>> = {
  [apiKeyHash(CALLING_KEYS.partner)]: { id: 'k1', role: 'READ', rateLimitPerMin: 10_000, expiresAt: null },
  [apiKeyHash(CALLING_KEYS.exhausted)]: { id: 'k2', role: 'READ', rateLimitPerMin: 0, expiresAt: null },
};

export interface RefusalOperation {
  readonly query?: string;
  readonly id?: unknown;
  readonly documentId?: unknown;
  readonly extensions?: Record<string, unknown>;
  readonly operationName?: string;
  readonly variables?: Record<string, unknown>;
}

/** The callers of the operations: a session, an API key, an API key over its rate, and a vehicle. */
export type RefusedCaller = 'person' | 'partner' | 'exhausted' | 'car';

interface Refused {
  readonly what: string;
  readonly who: RefusedCaller;
  readonly operation: RefusalOperation;
  readonly code: ErrorCode;
  /** Extensions that it has beside the code; those of a fault have a request id, too. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** Sets up the fault that the gateway meets in the parts behind it. */
  readonly behind?: (gateway: ScriptedGateway) => void;
}

const CHANGES = 'subscription Changes($e: Environment = STAGING) { flagChanges(environment: $e) { revision } }';
const FLAGS_OF_PAGES =
  'query ($n: Int) { flags(first: $n) { nodes { history(first: 100) { nodes { user { name } } } } } }';
/** The error of a subgraph that is down. */
export const PART_AWAY = new FleetFlagError(
  'SERVICE_UNAVAILABLE',
  'A part of the service is not answering; try again.',
  {
    retryAfter: 1,
  },
);

const refused = (
  who: RefusedCaller,
  code: ErrorCode,
  what: string,
  operation: RefusalOperation,
  details: Readonly<Record<string, unknown>> = {},
  behind?: Refused['behind'],
): Refused => ({ what, who, operation, code, details, ...(behind !== undefined && { behind }) });

const answers = (errors: readonly object[]) => (gateway: ScriptedGateway) => {
  gateway.answer = async () => structuredClone({ data: { flag: null }, errors }) as never;
};

/** The refusals that a client can get, in the order of the pipeline's steps. */
export const OPERATION_REFUSALS: readonly Refused[] = [
  // The rate of a key.
  refused('exhausted', 'RATE_LIMITED', 'a key that has run too many', { id: 'flag' }, { limit: 0, retryAfter: 60 }),
  refused(
    'exhausted',
    'RATE_LIMITED',
    'a key over its rate, before its operation is read',
    { query: '{' },
    { limit: 0, retryAfter: 60 },
  ),

  // Looking up the operation (id, hash, text).
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
      { extensions: apollo(sha256(ECO_FLAG_QUERY), 2) },
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
      { query: '{ __typename }', extensions: apollo(sha256(ECO_FLAG_QUERY)) },
      { field: 'extensions.persistedQuery.sha256Hash' },
    ),
    refused(who, 'BAD_USER_INPUT', 'an id beside a text', { query: '{ __typename }', id: 'flag' }, { field: 'id' }),
  ]),
  refused('partner', 'PERSISTED_QUERY_REQUIRED', 'a text', { query: ECO_FLAG_QUERY }),
  refused('partner', 'PERSISTED_QUERY_REQUIRED', 'neither a text nor a name', { query: '' }),
  refused('partner', 'PERSISTED_QUERY_REQUIRED', 'a text beside an id', { query: ECO_FLAG_QUERY, id: 'flag' }),
  refused('partner', 'PERSISTED_QUERY_REQUIRED', "a text beside another's hash", {
    query: ECO_FLAG_QUERY,
    extensions: apollo(sha256(SECRET)),
  }),
  refused('partner', 'PERSISTED_QUERY_REQUIRED', 'a text that is not registered, beside its hash', {
    query: '{ __typename }',
    extensions: apollo(sha256('{ __typename }')),
  }),
  refused('partner', 'PERSISTED_QUERY_NOT_FOUND', 'an operation that is bound to another key', { id: 'secret' }),
  refused('partner', 'FORBIDDEN', 'personal data without a binding to a key', { id: 'people' }),

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

  // Choosing the operation in the document (`operationName`).
  refused(
    'person',
    'BAD_USER_INPUT',
    'an operation that the document does not have',
    { query: ECO_FLAG_QUERY, operationName: 'Other' },
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

  // Permission, and the values of variables.
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

  // The answers of the subgraphs.
  refused(
    'person',
    'SERVICE_UNAVAILABLE',
    'a subgraph that is down',
    { query: ECO_FLAG_QUERY },
    { retryAfter: 1 },
    (gateway) => {
      gateway.answer = () => Promise.reject(PART_AWAY);
    },
  ),
  refused(
    'person',
    'SERVICE_UNAVAILABLE',
    'a database that is down',
    { query: ECO_FLAG_QUERY },
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
    { query: ECO_FLAG_QUERY },
    { field: 'key' },
    answers([{ message: 'There is no flag "eco".', path: ['flag'], extensions: { code: 'NOT_FOUND', field: 'key' } }]),
  ),
  refused(
    'person',
    'CONFLICT',
    'what does not fit the present state',
    { query: ECO_FLAG_QUERY },
    { currentRevision: 7 },
    answers([{ message: 'Changed since.', path: ['flag'], extensions: { code: 'CONFLICT', currentRevision: 7 } }]),
  ),
  refused(
    'person',
    'INTERNAL_SERVER_ERROR',
    'a fault of a subgraph',
    { query: ECO_FLAG_QUERY },
    {},
    answers([{ message: 'connect ECONNREFUSED', path: ['flag'], extensions: { serviceName: 'flags' } }]),
  ),
  refused('person', 'INTERNAL_SERVER_ERROR', 'a fault of the gateway', { query: ECO_FLAG_QUERY }, {}, (gateway) => {
    gateway.answer = () => Promise.reject(new Error('connect ECONNREFUSED'));
  }),
];

/** Starts a gateway whose subgraphs give what the refusals need. */
export async function refusingGateway(
  over: Parameters<typeof ScriptedGateway.start>[0] = {},
): Promise<ScriptedGateway> {
  const started = await ScriptedGateway.start(over);
  started.answer = async () => ({ data: { flag: { key: 'eco', id: 'f1', __typename: 'Flag' } } });
  started.answerGateway = async ({ query, variables = {} }) => {
    // The gateway's query for API keys: a field `k0` for the hash in the variable `h0`.
    if (!query.includes('persistedOperation'))
      return {
        data: Object.fromEntries(
          Object.entries(variables).map(([name, hash]) => [name.replace('h', 'k'), KNOWN[hash as string] ?? null]),
        ),
      };
    if (String(variables['id']).startsWith('away')) throw PART_AWAY;
    if (String(variables['id']).startsWith('broken')) return { errors: [{ message: 'connect ECONNREFUSED' }] };
    const found = Object.entries(REGISTERED).find(
      ([id, { body }]) => id === variables['id'] || sha256(body) === variables['sha256'],
    )?.[1];
    return { data: { persistedOperation: found === undefined ? null : { sha256: sha256(found.body), ...found } } };
  };
  return started;
}
