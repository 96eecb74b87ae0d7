import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { parse, getOperationAST } from 'graphql';
import type { SubgraphResponse } from '../../core/protocol/subgraph.ts';
import { eventually } from '../subscriptions/testing/wire-client.ts';
import { ScriptedGateway, type HttpAnswer } from '../testing/scripted-gateway.ts';
import { ACCOUNT_LIMITS } from './account-limits.ts';
import { AccountTurns } from './account-turns.ts';
import { isKillSwitch } from './kill-switch-operation.ts';

const HEAVY = '{ auditLogs(first: 100) { nodes { action } } }';
const KILL = 'mutation { killSwitch(flagKey: "eco", reason: "Fault in the field") { applied } }';
const OTHER = 'ffs_other';

let gateway: ScriptedGateway;
/** Answers of the audit subgraph that are held back. */
let held: (() => void)[];

const { runningOperations, waitingOperations } = ACCOUNT_LIMITS;
/** As many as one account may have; the last of them over websockets. */
async function fill(): Promise<Promise<HttpAnswer>[]> {
  const overHttp = Array.from({ length: runningOperations + waitingOperations - 20 }, () => gateway.ask(HEAVY));
  const client = await gateway.client();
  for (let n = 0; n < 20; n++) client.subscribe(`heavy-${n}`, HEAVY);
  // A ping is answered when all before it have been looked at.
  client.send({ type: 'ping' });
  await client.message('pong');
  return overHttp;
}

describe('an account that asks for everything at once', () => {
  beforeAll(async () => {
    gateway = await ScriptedGateway.start();
    const findSession = gateway.findSession;
    gateway.findSession = async (token) =>
      token === OTHER ? { caller: { kind: 'user', userId: '0198f0aa-0000-7000-8000-000000000002', role: 'READ', sessionKey: 'session:of-another' }, expiresAt: new Date(Date.now() + 60_000) } : findSession(token);
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
    await eventually('as many run as may', () => held.length === runningOperations);
    let done = 0;
    for (const answer of answers) void answer.then(() => (done += 1));
    for (let released = 0; released < runningOperations + waitingOperations; released++) {
      const release = await eventually('one more runs', () => held[released]);
      expect(held.length - released).toBeLessThanOrEqual(runningOperations);
      release();
    }
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(done).toBe(answers.length);
  });

  test('is refused what does not fit in its queue, with the seconds to wait, over HTTP and a websocket alike', async () => {
    // One is refused, whichever comes last; from then on there is no room.
    const refused = await Promise.race(Array.from({ length: runningOperations + waitingOperations + 1 }, () => gateway.ask(HEAVY)));
    expect(refused).toMatchObject({ status: 429, body: { errors: [{ extensions: { code: 'RATE_LIMITED', limit: runningOperations + waitingOperations, retryAfter: 2 } }] } });
    expect(refused.headers.get('retry-after')).toBe('2');
    const client = await gateway.client();
    client.subscribe('one-more', HEAVY);
    expect(await client.result('one-more')).toMatchObject({ errors: [{ extensions: { code: 'RATE_LIMITED', retryAfter: 2 } }] });
  });

  test('keeps nobody else waiting', async () => {
    void Promise.all(await fill());
    await eventually('as many run as may', () => held.length === runningOperations);
    const others = gateway.ask(HEAVY, {}, { authorization: `Bearer ${OTHER}` });
    await eventually('that of another account runs beside them', () => held.length === runningOperations + 1);
    held.at(-1)?.();
    expect((await others).status).toBe(200);
  });

  test('still pulls a kill switch at once, over HTTP and a websocket', async () => {
    void Promise.all(await fill());
    await eventually('as many run as may', () => held.length === runningOperations);
    expect(await gateway.ask(KILL)).toMatchObject({ status: 200, body: { data: { killSwitch: { applied: true } } } });
    const client = await gateway.client();
    client.subscribe('kill', KILL);
    expect(await client.result('kill')).toEqual({ data: { killSwitch: { applied: true } } });
    expect(held).toHaveLength(runningOperations);
  });
});

test('an account that has nothing running is not remembered, whatever became of its operations', async () => {
  const turns = new AccountTurns();
  const caller = { kind: 'user', userId: 'u1', role: 'READ', sessionKey: null } as const;
  const [first, second] = [await turns.take(caller, false), await turns.take(caller, true)];
  expect(turns.size).toBe(2);
  first();
  second();
  expect(turns.size).toBe(0);
  // Ended a second time, it takes nothing from who came after.
  const third = await turns.take(caller, false);
  first();
  expect(turns.size).toBe(1);
  third();
  await turns.take({ kind: 'vehicle', vin: 'KMHK281HGNU000001', environment: 'production' }, false);
  expect(turns.size).toBe(0);
});

test.each([
  ['mutation { killSwitch(flagKey: "a", reason: "r") { applied } }', true],
  ['mutation { a: killSwitch(flagKey: "a", reason: "r") { applied } __typename b: killSwitch(flagKey: "b", reason: "r") { applied } }', true],
  ['mutation { ...F } fragment F on Mutation { ... on Mutation { killSwitch(flagKey: "a", reason: "r") { applied } } }', true],
  ['mutation { killSwitch(flagKey: "a", reason: "r") { applied } enableFlag(key: "b") { applied } }', false],
  ['mutation { killSwitch: enableFlag(key: "b") { applied } }', false],
  ['mutation { releaseKillSwitch(flagKey: "a", reason: "r") { applied } }', false],
  ['mutation { __typename }', false],
  ['query { killSwitch: flags { totalCount } }', false],
])('nothing but kill switches go first: %s', (text, expected) => {
  const document = parse(text);
  expect(isKillSwitch(document, getOperationAST(document)!)).toBe(expected);
});
