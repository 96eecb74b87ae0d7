import { expect, test } from '@jest/globals';
import { RightOfWay } from '../../../operations/turns/right-of-way.ts';
import { gatewayUnderTest } from '../testing/gateway-under-test.ts';
import { eventually } from '../../../../core/testing/eventually.ts';
import { OperationQueue, type OperationPriority } from './operation-queue.ts';

/** Notes each beginning, and `|` for each turn of the event loop. */
function noted(turns: OperationQueue) {
  const notes: string[] = [];
  const begin = (name: string, turn: OperationPriority = 'later') => void turns.take(turn).then(() => notes.push(name));
  return { notes, begin };
}

test('they begin one after the other, and the event loop has a turn between two', async () => {
  const turns = new OperationQueue(10, new RightOfWay());
  const { notes, begin } = noted(turns);
  for (const name of ['a', 'b', 'c']) begin(name);
  expect(turns.waiting).toBe(3);
  const turn = () => {
    notes.push('|');
    if (turns.waiting > 0) setImmediate(turn);
  };
  setImmediate(turn);
  await eventually(() => notes.includes('c'), 'all have begun');
  expect(notes.join('')).toMatch(/^\|?a\|+b\|+c\|?$/);
  expect(turns.waiting).toBe(0);
});

test('a kill switch comes first and what may come later after all else, in whatever order they came', async () => {
  const turns = new OperationQueue(10, new RightOfWay());
  const { notes, begin } = noted(turns);
  begin('report 1');
  begin('report 2');
  begin('sync 1', 'soon');
  begin('sync 2', 'soon');
  begin('kill switch', 'first');
  await eventually(() => notes.length === 5, 'all have begun');
  expect(notes).toEqual(['kill switch', 'sync 1', 'sync 2', 'report 1', 'report 2']);
});

test('while a kill switch has the way only kill switches begin, and then the rest in its order', async () => {
  const way = new RightOfWay({ deliveryMs: 1, longestMs: 60_000, atOnce: 1 });
  const turns = new OperationQueue(10, way);
  const { notes, begin } = noted(turns);
  const end = way.begin();
  begin('report');
  begin('sync', 'soon');
  begin('kill switch 1', 'first');
  await eventually(() => notes.length === 1, 'it has begun');
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
  begin('kill switch 2', 'first');
  await eventually(() => notes.length === 2, 'the second has begun');
  expect(notes).toEqual(['kill switch 1', 'kill switch 2']);
  end();
  await eventually(() => notes.length === 4, 'all have begun');
  expect(notes.slice(2)).toEqual(['sync', 'report']);
  expect(turns.waiting).toBe(0);
});

test('no more may wait for later than there is room for, and nobody else is turned away', async () => {
  const turns = new OperationQueue(2, new RightOfWay());
  const { notes, begin } = noted(turns);
  begin('a');
  begin('b');
  expect(() => turns.take('later')).toThrow(
    expect.objectContaining({ code: 'SERVICE_UNAVAILABLE', details: { retryAfter: 5 } }),
  );
  begin('sync', 'soon');
  await eventually(() => notes.length === 3, 'all have begun');
  begin('c');
  await eventually(() => notes.length === 4, 'there is room again');
  expect(notes).toEqual(['sync', 'a', 'b', 'c']);
});

test('on a websocket what a vehicle asks overtakes what it reports, and all of it is answered', async () => {
  const gateway = await gatewayUnderTest();
  try {
    const client = await gateway.client();
    const reports = Array.from({ length: 10 }, (_, index) => `report-${index}`);
    for (const id of reports) client.subscribe(id, 'mutation { touch }');
    client.subscribe('sync', '{ revision }');
    await client.result('sync');
    await client.result('report-9');
    const answered = client.received.flatMap(({ type, id }) => (type === 'next' ? [id] : []));
    expect(answered.filter((id) => id !== 'sync')).toEqual(reports);
    expect(answered.indexOf('sync')).toBeLessThan(answered.indexOf('report-9'));
  } finally {
    await gateway.stop();
  }
});

test('a person’s change runs even if they have disconnected before its turn; a vehicle’s report does not', async () => {
  const run: string[] = [];
  const gateway = await gatewayUnderTest({
    execute: async ({ query }) => {
      run.push(query);
      return { data: { touch: true } };
    },
  });
  try {
    // Queries and mutations behind a subscription wait until that is established: both are gone by then.
    let establish = (): void => undefined;
    gateway.flags.establishing = new Promise((resolve) => (establish = resolve));
    const [person, vehicle] = [await gateway.client({ role: 'READ' }), await gateway.client()];
    for (const [client, name] of [
      [vehicle, 'report'],
      [person, 'change'],
    ] as const) {
      client.subscribe('s', 'subscription ($e: String!) { changes(environment: $e) { revision } }', {
        variables: { e: 'production' },
      });
      client.subscribe('m', `mutation ${name} { touch }`);
      client.send({ type: 'ping' });
      await client.message('pong');
      client.socket.close();
      await client.close();
    }
    await eventually(() => gateway.server.counters().sockets === 0, 'both are gone');
    establish();
    await eventually(() => run.length > 0, 'the change was made');
    expect(run).toEqual(['mutation change { touch }']);
  } finally {
    await gateway.stop();
  }
});
