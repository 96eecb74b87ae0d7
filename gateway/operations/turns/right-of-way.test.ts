import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { SubgraphResponse } from '../../../core/wire/subgraph/subgraph.ts';
import { eventually } from '../../../core/testing/eventually.ts';
import { ScriptedGateway, VIN } from '../../testing/scripted-gateway.ts';
import { RightOfWay } from './right-of-way.ts';

describe('the right of way', () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());
  const TIMES = { deliveryMs: 300, longestMs: 2_000, atOnce: 1 };
  /** Records the names of those that `clear` has let go on. */
  const noted = (way: RightOfWay) => {
    const gone: string[] = [];
    return { gone, wait: (name: string) => void way.clear().then(() => gone.push(name)) };
  };

  test('is free until a kill switch begins, and free again once the last one has had the time to be delivered', async () => {
    const way = new RightOfWay(TIMES);
    const { gone, wait } = noted(way);
    wait('before');
    const [first, second] = [way.begin(), way.begin()];
    wait('a');
    first();
    first();
    await jest.advanceTimersByTimeAsync(TIMES.deliveryMs);
    expect(gone).toEqual(['before']);
    second();
    await jest.advanceTimersByTimeAsync(TIMES.deliveryMs - 1);
    expect(way.isTaken).toBe(true);
    expect(gone).toEqual(['before']);
    await jest.advanceTimersByTimeAsync(1);
    expect(way.isTaken).toBe(false);
    expect(gone).toEqual(['before', 'a']);
  });

  test('lets waiting operations go on a few at a time, and stops them when another kill switch begins', async () => {
    const way = new RightOfWay(TIMES);
    const { gone, wait } = noted(way);
    const end = way.begin();
    wait('a');
    wait('b');
    end();
    jest.advanceTimersByTime(TIMES.deliveryMs);
    await Promise.resolve();
    wait('c');
    const again = way.begin();
    wait('d');
    await jest.advanceTimersByTimeAsync(10);
    // An operation that comes while the way is free overtakes those that still wait.
    expect(gone).toEqual(['a', 'c']);
    again();
    await jest.advanceTimersByTimeAsync(TIMES.deliveryMs + 10);
    expect(gone).toEqual(['a', 'c', 'b', 'd']);
  });

  test('is taken for at most half of the time, however many kill switches follow each other, even if one never ends', async () => {
    const way = new RightOfWay(TIMES);
    const { gone, wait } = noted(way);
    way.begin();
    wait('a');
    await jest.advanceTimersByTimeAsync(TIMES.longestMs);
    expect(gone).toEqual(['a']);
    way.begin();
    expect(way.isTaken).toBe(false);
    await jest.advanceTimersByTimeAsync(TIMES.longestMs - 1);
    way.begin();
    expect(way.isTaken).toBe(false);
    await jest.advanceTimersByTimeAsync(1);
    way.begin();
    expect(way.isTaken).toBe(true);
  });
});

describe('a gateway that is processing a kill switch', () => {
  const KILL = 'mutation { killSwitch(flagKey: "eco", reason: "Fault in the field") { applied } }';
  const RULE = 'mutation ($input: RuleInput!) { createRule(flagKey: "eco", input: $input) { applied } }';
  const KILLING = {
    input: { type: 'KILL_SWITCH', conditions: { force_disabled: true, reason: 'Fault in the field' } },
  };
  const QUERY = '{ auditLogs(first: 1) { nodes { action } } }';
  const REPORT = 'mutation ($input: MetricBatchInput!) { reportMetrics(input: $input) { accepted } }';
  let gateway: ScriptedGateway;
  let release: (() => void) | null;

  beforeAll(async () => {
    gateway = await ScriptedGateway.start();
  });
  afterAll(() => gateway.close());
  beforeEach(() => {
    release = null;
    gateway.asked.length = 0;
    gateway.answer = ({ query }): Promise<SubgraphResponse> => {
      if (query.includes('auditLogs')) return Promise.resolve({ data: { auditLogs: { nodes: [] } } });
      if (query.includes('reportMetrics')) return Promise.resolve({ data: { reportMetrics: { accepted: 1 } } });
      const field = query.includes('createRule') ? 'createRule' : 'killSwitch';
      return new Promise((resolve) => (release = () => resolve({ data: { [field]: { applied: true } } })));
    };
  });
  const askedFor = (text: string) => gateway.asked.filter(({ query }) => query.includes(text)).length;

  test.each([
    ['killSwitch', KILL, {}],
    ['createRule', RULE, KILLING],
  ])(
    'begins no other operation, over HTTP or a websocket, of a person or a vehicle, until it is done (%s)',
    async (_, text, variables) => {
      const person = await gateway.client();
      const token = await gateway.vehicleTokens.issue(VIN, 'production', new Date(Date.now() + 60_000));
      const vehicle = await gateway.socket().acknowledged({ authorization: `Bearer ${token}` });
      const kill = gateway.ask(text, variables);
      const answer = await eventually(() => release, 'it is under way');
      const overHttp = gateway.ask(QUERY);
      // Its comment has the name of the mutation, but it is no kill switch.
      const disguised = gateway.ask(`# killSwitch\n${QUERY}`);
      person.subscribe('query', QUERY);
      vehicle.subscribe('report', REPORT, {
        variables: { input: { batchId: '0198f0aa-0000-7000-8000-000000000001', items: [] } },
      });
      for (const client of [person, vehicle]) {
        client.send({ type: 'ping' });
        await client.message('pong');
      }
      // A second kill switch does not wait. Once it has reached the subgraph, the operations sent before it would have
      // too.
      release = null;
      const second = gateway.ask(KILL);
      const secondAnswer = await eventually(() => release, 'the second is under way');
      expect([askedFor('auditLogs'), askedFor('reportMetrics')]).toEqual([0, 0]);
      answer();
      secondAnswer();
      expect([(await kill).status, (await second).status]).toEqual([200, 200]);
      expect([askedFor('auditLogs'), askedFor('reportMetrics')]).toEqual([0, 0]);
      expect((await overHttp).status).toBe(200);
      expect((await disguised).status).toBe(200);
      expect(await person.result('query')).toEqual({ data: { auditLogs: { nodes: [] } } });
      expect(await vehicle.result('report')).toEqual({ data: { reportMetrics: { accepted: 1 } } });
    },
  );

  test('holds nobody up for a caller who may not pull the kill switch', async () => {
    const begin = jest.spyOn(RightOfWay.prototype, 'begin');
    const refused = await gateway.post({ query: KILL });
    expect(refused.body.errors?.[0]?.extensions['code']).toBe('UNAUTHENTICATED');
    expect(begin).not.toHaveBeenCalled();
    begin.mockRestore();
  });
});
