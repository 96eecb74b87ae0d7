/**
 * Two gateways over one database. Each answer that may have been kept is compared with a computed one: that of the same
 * operation beside a field that no revision governs.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { apiKeyHash, apiKeyPrefix, newApiKey } from '../core/credentials/api-key.ts';
import { membersOf } from '../core/json/json-value.ts';
import { eventually } from '../core/testing/eventually.ts';
import { rounds } from '../core/testing/rounds.ts';
import { WireClient } from '../gateway/subscriptions/testing/wire-client.ts';
import { watchDatabase, type WatchedDatabase } from '../subgraphs/shared/testing/watched-database.ts';
import { EveryCaller, SAMPLE_VIN } from './testing/every-caller.ts';
import type { CallerName } from './testing/permission-matrix.ts';
import {
  GOVERNED_OPERATIONS,
  type GovernedOperation,
  governedText,
  declaredVariables,
} from '../gateway/testing/governed-operations.ts';

const RUNS = rounds(2, 30);
const READS = 3;
const CHANGES = 10;
const SEED = 20_261_128;
const UNREGISTERED = 'KMHK281HGNU000009';
const KEYS = ['lane_keep', 'constructor'] as const;
const ENVIRONMENTS = ['PRODUCTION', 'STAGING'] as const;

interface Answer {
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly { readonly message: string; readonly extensions?: object }[];
}
type Transport = 'GET' | 'POST' | 'websocket';
// A GET with an API key that is sent again takes a path of its own through the gateway.
const CALLERS = [
  'READ',
  'ADMIN',
  'key READ',
  'key READ',
  'vehicle',
  'another vehicle',
] as const satisfies readonly CallerName[];
type ReadingCaller = (typeof CALLERS)[number];

let every: EveryCaller;
let watched: WatchedDatabase;
let urls: readonly string[];
/** The ids under which keys run the operations and their twins. */
const ids = new Map<string, string>();
const sockets = new Map<string, WireClient>();
let count = 0;

beforeAll(async () => {
  every = await EveryCaller.start(async (url, lifecycle) => {
    watched = await watchDatabase(url);
    lifecycle.onClose(() => watched.close());
    const { prisma } = watched;
    return {
      prisma,
      replicas: [],
      position: async () => 0n,
      lane: () => prisma,
      ping: async () => undefined,
      close: async () => undefined,
    };
  });
  urls = [every.url, await every.another()];
  for (const name of Object.keys(GOVERNED_OPERATIONS) as GovernedOperation[])
    for (const text of [governedText(name), twinOf(name)]) ids.set(text, await every.register(text, 'query', null));
});
afterAll(async () => {
  for (const { socket } of sockets.values()) socket.terminate();
  await every.close();
});

const headersOf = new Map<CallerName, Readonly<Record<string, string>>>();
async function credentials(caller: CallerName): Promise<Readonly<Record<string, string>>> {
  let headers = headersOf.get(caller);
  if (headers === undefined) headersOf.set(caller, (headers = (await every.as(caller)).headers));
  return headers;
}

const twinOf = (name: GovernedOperation) => governedText(name, 'uncached: me { kind } ');

async function socketOf(gateway: number, caller: CallerName): Promise<WireClient> {
  const name = `${gateway} ${caller}`;
  let client = sockets.get(name);
  if (client === undefined) {
    sockets.set(name, (client = new WireClient(urls[gateway]!.replace(/^http/, 'ws'))));
    await client.acknowledged(await credentials(caller));
  }
  return client;
}

interface Asking {
  readonly gateway: number;
  readonly caller: CallerName;
  readonly transport: Transport;
}

/** Sends an operation over a transport, and gives the answer with its members in the order in which they came. */
async function ask(text: string, variables: object, { gateway, caller, transport }: Asking): Promise<Answer> {
  const headers = await credentials(caller);
  const id = ids.get(text);
  if (transport === 'websocket') {
    const client = await socketOf(gateway, caller);
    const operation = `${count++}`;
    client.subscribe(operation, caller.startsWith('key') ? '' : text, {
      variables,
      ...(caller.startsWith('key') && { id }),
    });
    return client.result(operation);
  }
  const url = urls[gateway]!;
  if (transport === 'POST') {
    const named = caller.startsWith('key') ? { id } : { query: text };
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ ...named, variables }),
    });
    return (await response.json()) as Answer;
  }
  const search = new URLSearchParams({
    ...(id === undefined ? { query: text } : { id }),
    variables: JSON.stringify(variables),
  });
  return (await (await fetch(`${url}?${search.toString()}`, { headers })).json()) as Answer;
}

async function change(text: string, gateway = 0): Promise<Answer> {
  // A change that another one has made impossible is refused.
  return ask(`mutation { ${text} }`, {}, { gateway, caller: 'ADMIN', transport: 'POST' });
}

const key = fc.constantFrom(...KEYS);
const environment = fc.constantFrom(...ENVIRONMENTS);
const gateway = fc.nat({ max: 1 });
const INPUT = 'type: BOOLEAN, defaultValue: false, enabled: true';
const mutation = fc.oneof(
  fc
    .tuple(key, environment, fc.constantFrom('NON_CRITICAL', 'NON_CRITICAL', 'ASIL_D'))
    .map(
      ([name, where, level]) =>
        `createFlag(input: { key: "${name}", name: "Flag ${name}", environment: ${where}, safetyLevel: ${level}, ${INPUT} }) { applied }`,
    ),
  fc.tuple(key, fc.boolean()).map(([name, on]) => `${on ? 'enableFlag' : 'disableFlag'}(key: "${name}") { applied }`),
  fc
    .tuple(key, fc.nat({ max: 9 }))
    .map(([name, n]) => `updateFlag(key: "${name}", input: { name: "Flag ${n}" }) { applied }`),
  fc
    .tuple(key, environment)
    .map(([name, where]) => `updateFlag(key: "${name}", input: { environment: ${where} }) { applied }`),
  fc
    .tuple(key, fc.nat({ max: 100 }), fc.nat({ max: 999 }))
    .map(
      ([name, percentage, priority]) =>
        `createRule(flagKey: "${name}", input: { type: PERCENTAGE_ROLLOUT, priority: ${priority}, conditions: { rollout_percentage: ${percentage} } }) { applied }`,
    ),
  fc
    .tuple(key, fc.constantFrom('EV9', 'Ioniq 6'))
    .map(
      ([name, model]) =>
        `createRule(flagKey: "${name}", input: { type: VEHICLE_TARGET, priority: 1000, conditions: { models: ["${model}"] } }) { applied }`,
    ),
  key.map((name) => `killSwitch(flagKey: "${name}", reason: "smoke") { applied }`),
  key.map((name) => `releaseKillSwitch(flagKey: "${name}", reason: "no smoke") { applied }`),
  fc
    .constantFrom('EV9', 'Ioniq 6')
    .map(
      (model) =>
        `registerVehicles(input: [{ vin: "${SAMPLE_VIN}", model: "${model}", swVersion: "2.5.0", region: "EU" }]) { vin }`,
    ),
  fc.constant('cancel'),
);

const context = fc.record(
  {
    vin: fc.constantFrom(SAMPLE_VIN, UNREGISTERED),
    model: fc.constantFrom('EV9', ' '),
    swVersion: fc.constant('2.5.0'),
    region: fc.constant('EU'),
  },
  { requiredKeys: [] },
);
const read = fc.record({
  name: fc.constantFrom(...(Object.keys(GOVERNED_OPERATIONS) as GovernedOperation[])),
  variables: fc.record({
    key,
    environment,
    context,
    since: fc.nat({ max: 5 }),
    first: fc.integer({ min: 1, max: 3 }),
  }),
  asking: fc.record({
    gateway,
    caller: fc.constantFrom<ReadingCaller>(...CALLERS),
    transport: fc.constantFrom<Transport>('GET', 'POST', 'websocket'),
  }),
});
async function apply(text: string, at: number): Promise<void> {
  if (text !== 'cancel') return void (await change(text, at));
  const { data } = await ask('{ changeRequests { id } }', {}, { gateway: at, caller: 'ADMIN', transport: 'POST' });
  for (const { id } of (data?.['changeRequests'] ?? []) as { id: string }[])
    await change(`cancelChangeRequest(id: "${id}") { status }`, at);
}

/** Gives an answer as text without the field that keeps it from being kept. */
function withoutMe({ data, errors }: Answer): string {
  const { uncached: _, ...rest } = data ?? {};
  return JSON.stringify({ data: Object.keys(rest).length === 0 ? null : rest, errors });
}
const comparable = ({ data, errors }: Answer) => JSON.stringify({ data: data ?? null, errors });

test('no answer differs from that of the pipeline that keeps none, whatever has changed before, on either gateway', async () => {
  const run = fc.record({
    reads: fc.array(read, { minLength: READS, maxLength: READS }),
    changes: fc.array(fc.tuple(mutation, gateway), { minLength: CHANGES, maxLength: CHANGES }),
  });
  await fc.assert(
    fc.asyncProperty(run, async ({ reads, changes }) => {
      for (const [text, at] of changes) {
        await apply(text, at);
        // All reads run again after each change, because the kept answers are from before it.
        for (const one of reads) {
          const { name, asking } = one;
          const [cached, again, uncached] = await Promise.all([
            ask(governedText(name), declaredVariables(one), asking),
            ask(governedText(name), declaredVariables(one), { ...asking, gateway: 1 - asking.gateway }),
            ask(twinOf(name), declaredVariables(one), { ...asking, transport: 'POST' }),
          ]);
          const expected = withoutMe(uncached);
          expect([name, comparable(cached), comparable(again)]).toEqual([name, expected, expected]);
        }
      }
    }),
    { numRuns: RUNS, seed: SEED, endOnFailure: true },
  );
}, 120_000);

describe('an answer follows what changes without a revision:', () => {
  const variables = { key: 'unrevised', context: { vin: SAMPLE_VIN } };
  const answersTo = async (name: GovernedOperation) => {
    const transports: Transport[] = ['GET', 'POST', 'websocket', 'GET'];
    const answers = await Promise.all(
      transports.map((transport, n) =>
        ask(governedText(name), declaredVariables({ name, variables }), { gateway: n % 2, caller: 'READ', transport }),
      ),
    );
    expect(new Set(answers.map(comparable)).size).toBe(1);
    return answers[0]?.data;
  };
  const register = (model: string) =>
    change(
      `registerVehicles(input: [{ vin: "${SAMPLE_VIN}", model: "${model}", swVersion: "2.5.0", region: "EU" }]) { vin }`,
      1,
    );

  test('drafts', async () => {
    expect(await answersTo('flag')).toEqual({ it: null });
    await change(
      `createFlag(input: { key: "unrevised", name: "Draft", environment: STAGING, safetyLevel: ASIL_D, ${INPUT} }) { applied }`,
    );
    expect(await answersTo('flag')).toMatchObject({ it: { draft: true } });
    await apply('cancel', 1);
    expect(await answersTo('flag')).toEqual({ it: null });
  });

  test('registered facts of vehicles', async () => {
    await register('EV9');
    await change(
      `createFlag(input: { key: "unrevised", name: "Flag", environment: STAGING, safetyLevel: NON_CRITICAL, ${INPUT} }) { applied }`,
    );
    await change(
      'createRule(flagKey: "unrevised", input: { type: VEHICLE_TARGET, conditions: { models: ["EV9"] } }) { applied }',
    );
    expect(await answersTo('evaluateFlag')).toMatchObject({ evaluateFlag: { value: true } });
    await register('Ioniq 6');
    expect(await answersTo('evaluateFlag')).toMatchObject({ evaluateFlag: { value: false } });
    await every.prisma.vehicle.delete({ where: { vin: SAMPLE_VIN } });
    expect(await answersTo('evaluateFlag')).toMatchObject({ evaluateFlag: { value: false } });
    await register('EV9');
    expect(await answersTo('evaluateFlag')).toMatchObject({ evaluateFlag: { value: true } });
  });
});

describe('while flags change', () => {
  const revisionOf = (answer: Answer) =>
    (answer.data?.['flags'] as { nodes: { revision: number }[] }).nodes[0]!.revision;
  const variables = { environment: 'STAGING', first: 1 };

  test('no client gets an answer that is older than one it has had, nor than a change that was answered before', async () => {
    await change(
      `createFlag(input: { key: "a", name: "A", environment: STAGING, safetyLevel: NON_CRITICAL, ${INPUT} }) { applied }`,
    );
    let over = false;
    let answered = 0;
    const reader = async (transport: Transport, at: number) => {
      let [last, reads] = [0, 0];
      while (!over) {
        const known = answered;
        const revision = revisionOf(
          await ask(governedText('flags'), variables, { gateway: (at + reads++) % 2, caller: 'READ', transport }),
        );
        expect(revision).toBeGreaterThanOrEqual(Math.max(last, known));
        last = revision;
      }
      return reads;
    };
    const readers = [reader('GET', 0), reader('POST', 1), reader('websocket', 0), reader('GET', 1)];
    for (let n = 0; n < 10; n++) {
      const { data } = await change(`updateFlag(key: "a", input: { name: "A ${n}" }) { flag { revision } }`, n % 2);
      answered = (data?.['updateFlag'] as { flag: { revision: number } }).flag.revision;
    }
    over = true;
    for (const reads of await Promise.all(readers)) expect(reads).toBeGreaterThan(1);
  }, 60_000);
});

describe('a key that asks again in the same words', () => {
  let apiKey: string;
  let apiKeyId: string;
  let id: string;
  const get = async (at: number) =>
    (
      await fetch(`${urls[at]}?id=${id}&variables=${encodeURIComponent('{"environment":"STAGING"}')}`, {
        headers: { 'x-api-key': apiKey },
      })
    ).json() as Promise<Answer>;
  const codeOf = ({ errors }: Answer) => membersOf(errors?.[0]?.extensions)['code'];
  /** Sends the request until both gateways know it: they have answered it more than once. */
  const known = async () => {
    for (const at of [0, 1, 0, 1, 0]) expect(codeOf(await get(at))).toBeUndefined();
  };
  const refused = (code: string) =>
    eventually(async () => [codeOf(await get(0)), codeOf(await get(1))].every((got) => got === code), code);

  beforeEach(async () => {
    apiKey = newApiKey();
    const data = { name: 'Again', keyHash: apiKeyHash(apiKey), keyPrefix: apiKeyPrefix(apiKey), role: 'READ' };
    ({ id: apiKeyId } = await every.prisma.apiKey.create({ data }));
    id = await every.register(`${governedText('flags')} # ${apiKeyId}`, 'query', null);
    await known();
  });

  test('is refused on every gateway after it has been revoked, and so for ever', async () => {
    expect((await change(`revokeApiKey(id: "${apiKeyId}") { id }`, 1)).errors).toBeUndefined();
    await refused('UNAUTHENTICATED');
    expect(codeOf(await get(0))).toBe('UNAUTHENTICATED');
  });

  test('is refused on every gateway after the operation has been bound to another key', async () => {
    const { caller } = await every.as('key ADMIN');
    const other = caller.kind === 'apiKey' ? caller.apiKeyId : null;
    await every.prisma.persistedOperation.update({
      where: { id },
      data: { keys: { create: { apiKeyId: other ?? '' } } },
    });
    await refused('PERSISTED_QUERY_NOT_FOUND');
  });

  test('has the rate that its key has got meanwhile', async () => {
    await every.prisma.apiKey.update({ where: { id: apiKeyId }, data: { rateLimitPerMin: 1 } });
    await refused('RATE_LIMITED');
  });
});

describe('the statements of an answer', () => {
  const COUNTED = 'KMHK281HGNU000123';
  const about = (name: string) => watched.statements.filter(({ params }) => JSON.stringify(params).includes(name));
  const evaluate = () =>
    ask(
      governedText('evaluateFlag'),
      { key: 'counted', context: { vin: COUNTED } },
      { gateway: 0, caller: 'READ', transport: 'GET' },
    );

  test('are at most one for a kept answer, and for a computed one also that of its facts and a second check', async () => {
    await change(
      `createFlag(input: { key: "counted", name: "Counted", environment: STAGING, safetyLevel: NON_CRITICAL, ${INPUT} }) { applied }`,
    );
    const readsOfFlag = about('counted').length;
    expect(await evaluate()).toMatchObject({ data: { evaluateFlag: { value: false } } });
    // The statements read the vehicle's state, its registered facts, and its state again before the answer is kept.
    await eventually(() => about(COUNTED).length >= 3, 'the check of its state');
    expect(about(COUNTED)).toHaveLength(3);
    const computed = about('counted').length;
    // Flags are in memory.
    expect(computed).toBe(readsOfFlag);

    await evaluate();
    expect(about(COUNTED)).toHaveLength(4);
    await Promise.all(Array.from({ length: 50 }, evaluate));
    // Callers that come together share a statement; how many share one depends on the machine.
    expect(about(COUNTED).length).toBeLessThanOrEqual(4 + 50);
    expect(about('counted')).toHaveLength(computed);
  });
});
