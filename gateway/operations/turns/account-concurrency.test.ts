import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { parse, getOperationAST } from 'graphql';
import type { SubgraphResponse } from '../../../core/wire/subgraph/subgraph.ts';
import { eventually } from '../../../core/testing/eventually.ts';
import { ScriptedGateway, type HttpAnswer } from '../../testing/scripted-gateway.ts';
import { ACCOUNT_LIMITS } from './account-limits.ts';
import { AccountConcurrency, kindOf, type TurnKind } from './account-concurrency.ts';
import { isKillSwitch, mayBeKillSwitch } from './kill-switch-operation.ts';

const HEAVY = '{ auditLogs(first: 100) { nodes { action } } }';
const KILL = 'mutation { killSwitch(flagKey: "eco", reason: "Fault in the field") { applied } }';
const OTHER = 'ffs_other';

let gateway: ScriptedGateway;
/** Answers of the audit subgraph that are held back. */
let held: (() => void)[];

const { runningOperations, waitingOperations } = ACCOUNT_LIMITS;
/** Starts as many operations as one account may have, the last of them over websockets. */
async function fill(): Promise<Promise<HttpAnswer>[]> {
  const overHttp = Array.from({ length: runningOperations + waitingOperations - 20 }, () => gateway.ask(HEAVY));
  const client = await gateway.client();
  for (let n = 0; n < 20; n++) client.subscribe(`heavy-${n}`, HEAVY);
  // The gateway answers a ping when it has read all messages before it.
  client.send({ type: 'ping' });
  await client.message('pong');
  return overHttp;
}

describe('an account that asks for everything at once', () => {
  beforeAll(async () => {
    gateway = await ScriptedGateway.start();
    const findSession = gateway.findSession;
    gateway.findSession = async (token) =>
      token === OTHER
        ? {
            caller: {
              kind: 'user',
              userId: '0198f0aa-0000-7000-8000-000000000002',
              role: 'READ',
              sessionKey: 'session:of-another',
            },
            expiresAt: new Date(Date.now() + 60_000),
          }
        : findSession(token);
  });
  afterAll(() => gateway.close());
  beforeEach(() => {
    held = [];
    gateway.answer = ({ query }): Promise<SubgraphResponse> => {
      if (query.includes('killSwitch')) return Promise.resolve({ data: { killSwitch: { applied: true } } });
      return new Promise((resolve) => held.push(() => resolve({ data: { auditLogs: { nodes: [] } } })));
    };
  });
  afterEach(async () => {
    gateway.answer = async () => ({ data: { auditLogs: { nodes: [] } } });
    held.forEach((release) => release());
    // The last in the queue: all before it are over.
    expect((await gateway.ask(HEAVY)).status).toBe(200);
  });

  test('has a few operations running, over HTTP and websockets together, and the rest in their turn', async () => {
    const answers = await fill();
    await eventually(() => held.length === runningOperations, 'as many run as may');
    let done = 0;
    for (const answer of answers) void answer.then(() => (done += 1));
    for (let released = 0; released < runningOperations + waitingOperations; released++) {
      const release = await eventually(() => held[released], 'one more runs');
      expect(held.length - released).toBeLessThanOrEqual(runningOperations);
      release();
    }
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(done).toBe(answers.length);
  });

  test('is refused what does not fit in its queue, with the seconds to wait, over HTTP and a websocket alike', async () => {
    // One is refused, whichever comes last; from then on there is no room.
    const refused = await Promise.race(
      Array.from({ length: runningOperations + waitingOperations + 1 }, () => gateway.ask(HEAVY)),
    );
    expect(refused).toMatchObject({
      status: 429,
      body: {
        errors: [{ extensions: { code: 'RATE_LIMITED', limit: runningOperations + waitingOperations, retryAfter: 2 } }],
      },
    });
    expect(refused.headers.get('retry-after')).toBe('2');
    const client = await gateway.client();
    client.subscribe('one-more', HEAVY);
    expect(await client.result('one-more')).toMatchObject({
      errors: [{ extensions: { code: 'RATE_LIMITED', retryAfter: 2 } }],
    });
  });

  test('keeps no other account waiting', async () => {
    void Promise.all(await fill());
    await eventually(() => held.length === runningOperations, 'as many run as may');
    const others = gateway.ask(HEAVY, {}, { authorization: `Bearer ${OTHER}` });
    await eventually(() => held.length === runningOperations + 1, 'that of another account runs beside them');
    held.at(-1)?.();
    expect((await others).status).toBe(200);
  });

  test('still pulls a kill switch at once, over HTTP and a websocket', async () => {
    void Promise.all(await fill());
    await eventually(() => held.length === runningOperations, 'as many run as may');
    expect(await gateway.ask(KILL)).toMatchObject({ status: 200, body: { data: { killSwitch: { applied: true } } } });
    const client = await gateway.client();
    client.subscribe('kill', KILL);
    expect(await client.result('kill')).toEqual({ data: { killSwitch: { applied: true } } });
    expect(held).toHaveLength(runningOperations);
  });
});

describe('an expensive operation', () => {
  const user = (userId: string) => ({ kind: 'user', userId, role: 'READ', sessionKey: null }) as const;
  /** Takes turns and notes who has one. */
  const noted = () => {
    const turns = new AccountConcurrency();
    const running: string[] = [];
    const ends = new Map<string, () => void>();
    const take = async (name: string, kind: TurnKind = 'expensive') => {
      void turns.acquire(user(name.charAt(0)), kind).then((end) => {
        running.push(name);
        ends.set(name, end);
      });
      await new Promise(setImmediate);
    };
    const end = async (name: string) => {
      ends.get(name)?.();
      await new Promise(setImmediate);
    };
    return { turns, running, take, end };
  };

  test('runs alone for its account, and as one of two for all, in the order of arrival among accounts', async () => {
    const { turns, running, take, end } = noted();
    for (const name of ['a1', 'a2', 'a3', 'b1', 'c1', 'd1']) await take(name);
    expect(running).toEqual(['a1', 'b1']);
    await end('a1');
    expect(running).toEqual(['a1', 'b1', 'c1']);
    await end('b1');
    expect(running).toEqual(['a1', 'b1', 'c1', 'd1']);
    await end('c1');
    await end('d1');
    await end('a2');
    await end('a3');
    expect(running).toEqual(['a1', 'b1', 'c1', 'd1', 'a2', 'a3']);
    expect(turns.size).toBe(0);
  });

  test('keeps neither the ordinary operations nor the kill switches of its account waiting', async () => {
    const { running, take, end } = noted();
    for (const name of ['a1', 'a2']) await take(name);
    await take('a3', 'ordinary');
    await take('a4', 'kill switch');
    expect(running).toEqual(['a1', 'a3', 'a4']);
    // Nobody may be left waiting: the refusal would come while another test runs.
    await end('a1');
    expect(running).toEqual(['a1', 'a3', 'a4', 'a2']);
  });

  test('is refused once it has waited too long for those of other accounts, and its account may retry', async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate'] });
    try {
      const { turns, take } = noted();
      await take('a1');
      await take('b1');
      const late = turns.acquire(user('c'), 'expensive');
      const refused = expect(late).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE', details: { retryAfter: 2 } });
      await jest.advanceTimersByTimeAsync(ACCOUNT_LIMITS.waitTimeoutMs);
      await refused;
      expect(turns.size).toBe(2);
    } finally {
      jest.useRealTimers();
    }
  });

  test.each([
    [false, ACCOUNT_LIMITS.expensiveCost, 'ordinary'],
    [false, ACCOUNT_LIMITS.expensiveCost + 1, 'expensive'],
    [true, ACCOUNT_LIMITS.expensiveCost + 1, 'kill switch'],
  ] as const)('is recognised by its cost, but a kill switch never is one (%s, %d)', (isKill, cost, kind) => {
    expect(kindOf(isKill, cost)).toBe(kind);
  });
});

test('an account that has nothing running is not remembered, whatever became of its operations', async () => {
  const turns = new AccountConcurrency();
  const caller = { kind: 'user', userId: 'u1', role: 'READ', sessionKey: null } as const;
  const [first, second] = [await turns.acquire(caller, 'ordinary'), await turns.acquire(caller, 'kill switch')];
  expect(turns.size).toBe(2);
  first();
  second();
  expect(turns.size).toBe(0);
  // Ended a second time, it takes nothing from who came after.
  const third = await turns.acquire(caller, 'ordinary');
  first();
  expect(turns.size).toBe(1);
  third();
  await turns.acquire({ kind: 'vehicle', vin: 'KMHK281HGNU000001', environment: 'production' }, 'expensive');
  expect(turns.size).toBe(0);
});

test.each([
  ['mutation { killSwitch(flagKey: "a", reason: "r") { applied } }', true],
  [
    'mutation { a: killSwitch(flagKey: "a", reason: "r") { applied } __typename b: killSwitch(flagKey: "b", reason: "r") { applied } }',
    true,
  ],
  [
    'mutation { ...F } fragment F on Mutation { ... on Mutation { killSwitch(flagKey: "a", reason: "r") { applied } } }',
    true,
  ],
  ['mutation { killSwitch(flagKey: "a", reason: "r") { applied } enableFlag(key: "b") { applied } }', false],
  ['mutation { haltRelease(flagKey: "a", reason: "r") { applied } }', true],
  ['mutation { haltRelease(flagKey: "a", reason: "r") { applied } enableFlag(key: "b") { applied } }', false],
  ['mutation { haltRelease: enableFlag(key: "b") { applied } }', false],
  ['mutation { killSwitch: enableFlag(key: "b") { applied } }', false],
  ['mutation { releaseKillSwitch(flagKey: "a", reason: "r") { applied } }', false],
  ['mutation { __typename }', false],
  ['query { killSwitch: flags { totalCount } }', false],
  [
    'mutation { createRule(flagKey: "a", input: { type: KILL_SWITCH, conditions: { force_disabled: true, reason: "r" } }) { applied } }',
    true,
  ],
  [
    'mutation { createRule(flagKey: "a", input: { type: KILL_SWITCH, enabled: false, conditions: { force_disabled: true, reason: "r" } }) { applied } }',
    false,
  ],
  [
    'mutation { createRule(flagKey: "a", input: { type: VEHICLE_WHITELIST, conditions: { force_disabled: true } }) { applied } }',
    false,
  ],
  ['mutation ($kill: RuleInput!, $rest: RuleInput!) { a: createRule(flagKey: "a", input: $kill) { applied } }', true],
  [
    'mutation ($kill: RuleInput!, $rest: RuleInput!) { a: createRule(flagKey: "a", input: $kill) { applied } b: createRule(flagKey: "a", input: $rest) { applied } }',
    false,
  ],
  ['mutation ($missing: RuleInput!) { createRule(flagKey: "a", input: $missing) { applied } }', false],
  ['mutation ($on: Boolean = true) { updateRule(id: "x", input: { enabled: $on }) { applied } }', true],
  ['mutation ($off: Boolean = true) { updateRule(id: "x", input: { enabled: $off }) { applied } }', false],
  [
    'mutation { updateRule(id: "x", input: { conditions: { force_disabled: true, reason: "r" } }) { applied } killSwitch(flagKey: "b", reason: "r") { applied } }',
    true,
  ],
  [
    'mutation { updateRule(id: "x", input: { enabled: false, conditions: { force_disabled: true, reason: "r" } }) { applied } }',
    false,
  ],
  ['mutation { updateRule(id: "x", input: { priority: 3 }) { applied } }', false],
])('nothing but kill switches go first: %s', (text, expected) => {
  const document = parse(text);
  const variables = {
    kill: { type: 'KILL_SWITCH', conditions: { force_disabled: true, reason: 'r' } },
    rest: { type: 'KILL_SWITCH', conditions: { force_disabled: false } },
    off: false,
  };
  expect(isKillSwitch(document, getOperationAST(document)!, variables)).toBe(expected);
  // The cheap look overlooks none.
  if (expected) expect(mayBeKillSwitch(text)).toBe(true);
});
