/**
 * Random requests of each kind of caller, sent by POST, by GET and over a websocket, each twice: the errors, the data,
 * what the subgraphs are asked to change, and what is counted have to be the same.
 */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { apiKeyHash, newApiKey } from '../../core/credentials/api-key.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { rounds } from '../../core/testing/rounds.ts';
import type { WireClient, WireError } from '../subscriptions/testing/wire-client.ts';
import { SESSION, ScriptedGateway, VIN } from '../testing/scripted-gateway.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

const TEXTS = [
  'query Flag($key: String = "eco") { flag(key: $key) { key } }',
  'query A { flag(key: "eco") { key } } query B { flag(key: "sport") { key } }',
  'query ($n: Int, $on: Boolean = true) { flags(first: $n) @include(if: $on) { totalCount } }',
  'query ($c: EvaluationContext!) { evaluateFlags(environment: STAGING, context: $c) { flagKey } }',
  'query ($nonce: String) { flagSync(environment: STAGING, nonce: $nonce) { revision } }',
  'mutation Stop($reason: String = "x") { killSwitch(flagKey: "eco", reason: $reason) { applied } }',
  'mutation { createApiKey(name: "x", role: READ) { key } } query Q { __typename }',
  'query People { flag(key: "eco") { updatedBy { name } } }',
  '{ fleet { total } }',
  '{ __typename }',
  '{ __schema { queryType { name } } }',
  '{ flag(key: "eco") { colour } }',
  '{ flag(key: "eco" }',
  '{ flag(key: "\\uD83D") { key } }',
  '\ufeff{ __typename }',
  '{ flag(key: "\ud83d") { key } }',
  'fragment F on Flag { key }',
  ' ',
  '',
  `{ ${'a: '.repeat(3)}__typename }`,
];

const DATA = {
  flag: { key: 'eco' },
  flags: { totalCount: 1 },
  evaluateFlags: [],
  flagSync: { revision: 1 },
  killSwitch: { applied: true },
  createApiKey: { key: 'k' },
};

const HALF_A_PAIR = /\p{Surrogate}/u;

const KEYS = { READ: newApiKey(), WRITE: newApiKey(), ADMIN: newApiKey() };
type KeyRole = keyof typeof KEYS;
const KEY_ROLES = ['READ', 'WRITE', 'ADMIN'] as const;
const WHO = ['person', 'car', ...KEY_ROLES] as const;
type Who = (typeof WHO)[number];
const isKey = (who: Who): who is KeyRole => who in KEYS;
const LIMIT = 1_000_000;

const deep = (levels: number): unknown => JSON.parse('['.repeat(levels) + ']'.repeat(levels));
const value = fc.oneof(
  fc.constantFrom<unknown>(null, true, 0, -1, 2 ** 31, 'eco', '', '__proto__', [], ['eco'], {}, { vin: VIN }),
  fc.constantFrom<unknown>(deep(50), '\ud83d', 'e\u0301co', '\0', JSON.parse('{"__proto__":{"vin":"x"}}'), {
    vin: 'x',
  }),
  fc.string({ unit: 'binary', maxLength: 6 }),
);
const name = fc.oneof(
  fc.constantFrom<unknown>('t0', 't1', 't2', 't5', 't6', 't7', 't8', 'bound', 'nothing', '', 'a b', 7, null, true, {}),
  fc.constantFrom(...TEXTS).map(sha256),
  fc.constantFrom(...TEXTS).map((text) => `sha256:${sha256(text).toUpperCase()}`),
);
const hash = fc.oneof(fc.constantFrom(...TEXTS).map(sha256), fc.constantFrom<unknown>('x', null, 7, [sha256('')]));
const apollo = (sha256Hash: unknown, version: unknown = 1) => ({
  extensions: { persistedQuery: { version, sha256Hash } },
});
/** One of the ways to say which operation is meant. */
const meant = fc
  .constantFrom(...TEXTS.entries())
  .chain(([at, query]) =>
    fc.constantFrom<Readonly<Record<string, unknown>>>(
      { query },
      { id: `t${at}` },
      { documentId: `sha256:${sha256(query)}` },
      apollo(sha256(query)),
      { query, ...apollo(sha256(query)) },
    ),
  );
const odd = fc.oneof(
  fc.constantFrom(...TEXTS).map((query) => ({ query })),
  name.map((id) => ({ id })),
  name.map((documentId) => ({ documentId })),
  fc.tuple(hash, fc.constantFrom<unknown>(1, 2, '1')).map(([given, version]) => apollo(given, version)),
  fc
    .constantFrom<Record<string, unknown>>({}, { x: 1 }, { persistedQuery: null }, { persistedQuery: [] })
    .map((extensions) => ({ extensions })),
  fc.constantFrom('', '__proto__', 'A\n{}', 'Flag').map((operationName) => ({ operationName })),
  fc
    .dictionary(fc.constantFrom('key', 'n', 'on', 'c', 'nonce', 'reason', '__proto__', 'x'), value, { maxKeys: 3 })
    .map((variables) => ({ variables })),
);
const usual = fc.constantFrom({}, { variables: { key: 'sport', n: 5, c: { vin: VIN } } }, { operationName: 'A' });
const operation = fc
  .tuple(meant, usual, fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, { weight: 3, arbitrary: odd }))
  .map((parts): Operation => Object.assign({}, ...parts))
  // A message of the protocol has a text or a name.
  .map((made) =>
    ['query', 'id', 'documentId', 'extensions'].some((by) => made[by] != null) ? made : { ...made, query: '' },
  );
type Operation = Record<string, unknown>;

let gateway: ScriptedGateway;
const headersOf = new Map<Who, Record<string, string>>();
const sockets = new Map<Who, WireClient>();

beforeAll(async () => {
  gateway = await ScriptedGateway.start();
  // A subgraph gives no field that it was not asked for.
  gateway.answer = async ({ query }) => ({
    data: Object.fromEntries(Object.entries(DATA).filter(([field]) => new RegExp(`\\b${field}\\b`).test(query))),
  });
  gateway.answerGateway = async ({ query, variables = {} }) => {
    if (query.includes('answerInputs'))
      return { data: { answerInputs: { second: 1, environments: { staging: '1@1' }, vehicles: {}, flags: {} } } };
    if (query.includes('persistedOperation')) {
      // The registry has no text that is not well-formed.
      const at = TEXTS.findIndex(
        (text, n) => !HALF_A_PAIR.test(text) && (variables['id'] === `t${n}` || variables['sha256'] === sha256(text)),
      );
      const body = variables['id'] === 'bound' ? TEXTS[0] : TEXTS[at];
      const apiKeys = variables['id'] === 'bound' ? ['WRITE'] : null;
      return { data: { persistedOperation: body === undefined ? null : { sha256: sha256(body), body, apiKeys } } };
    }
    return {
      data: Object.fromEntries(
        Object.entries(variables).map(([at, hashed]) => {
          const role = KEY_ROLES.find((one) => apiKeyHash(KEYS[one]) === hashed);
          return [at.replace('h', 'k'), role && { id: role, role, rateLimitPerMin: LIMIT, expiresAt: null }];
        }),
      ),
    };
  };
  const car = await gateway.vehicleTokens.issue(VIN, 'staging', new Date(Date.now() + 600_000));
  for (const who of WHO) {
    const headers: Record<string, string> = isKey(who)
      ? { 'x-api-key': KEYS[who] }
      : { authorization: `Bearer ${who === 'car' ? car : SESSION}` };
    headersOf.set(who, headers);
    sockets.set(who, await gateway.socket().acknowledged(headers));
  }
});
afterAll(() => gateway.close());

interface Outcome {
  readonly errors: unknown;
  readonly data: unknown;
  /** The number of mutations that reached a subgraph. */
  readonly changes: number;
  readonly counted: number;
}

const used = async (who: Who) => {
  if (!isKey(who)) return 0;
  const { remaining } = await gateway.limiter.consume(`api-key:${who}`, LIMIT, 60);
  await gateway.limiter.giveBack(`api-key:${who}`, 60);
  return LIMIT - remaining;
};

async function outcomeOf(
  who: Who,
  send: () => Promise<{ readonly errors?: unknown; readonly data?: unknown }>,
): Promise<Outcome> {
  gateway.asked.length = 0;
  const before = await used(who);
  const { errors, data } = await send();
  return {
    errors:
      (errors as WireError[] | undefined)?.map(({ extensions: { requestId, ...extensions } = {}, ...error }) => ({
        ...error,
        extensions: { ...extensions, hasId: requestId !== undefined },
      })) ?? null,
    data: data ?? null,
    changes: gateway.asked.filter(({ query }) => query.includes('mutation')).length,
    counted: (await used(who)) - before,
  };
}

let operations = 0;
async function bySocket(who: Who, sent: Operation) {
  const client = sockets.get(who)!;
  const id = `o${++operations}`;
  client.send({ id, type: 'subscribe', payload: sent });
  const { type, payload } = await eventually(
    () => client.received.find((message) => message.id === id) ?? (client.closed && { type: 'closed', payload: null }),
    'an answer',
  );
  if (type === 'next') await client.message('complete', id);
  client.received.length = 0;
  if (type === 'closed') throw new Error(`The socket was closed: ${JSON.stringify(client.closed)}`);
  return type === 'error' ? { errors: payload } : (payload ?? {});
}

const byGet = async (who: Who, sent: Operation) => {
  const params = new URLSearchParams();
  for (const [member, given] of Object.entries(sent))
    params.set(member, typeof given === 'string' ? given : JSON.stringify(given));
  return (await gateway.send(`/graphql?${params.toString()}`, { headers: headersOf.get(who)! })).body;
};
const byPost = async (who: Who, sent: Operation) => (await gateway.post(sent, headersOf.get(who))).body;

/** Checks whether query parameters can carry the operation: its strings are Unicode, and its names are strings. */
const isForUrl = ({ id, documentId, ...others }: Operation) =>
  [id, documentId].every((one) => one === undefined || typeof one === 'string') &&
  Object.values(others).every((given) => typeof given !== 'string' || !HALF_A_PAIR.test(given));
const isChange = ({ errors }: Outcome) => JSON.stringify(errors).includes('GET requests only support query operations');

describe('an operation', () => {
  test('has one outcome by whichever way it comes, and however often', async () => {
    let answered = 0;
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...WHO), operation, async (who, sent) => {
        const posted = await outcomeOf(who, () => byPost(who, sent));
        if (posted.errors === null) answered += 1;
        expect(await outcomeOf(who, () => bySocket(who, sent))).toEqual(posted);
        expect(await outcomeOf(who, () => byPost(who, sent))).toEqual(posted);
        if (isKey(who)) expect(posted.counted).toBe(1);
        if (!isForUrl(sent)) return;
        for (let n = 0; n < 3; n++) {
          const got = await outcomeOf(who, () => byGet(who, sent));
          if (isChange(got)) expect(got.changes).toBe(0);
          else expect(got).toEqual(posted);
        }
      }),
      { numRuns: rounds(30, 200) },
    );
    // A run without these would have compared only refusals.
    expect(answered).toBeGreaterThan(0);
  });
});
