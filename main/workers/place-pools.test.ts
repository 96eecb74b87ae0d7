import { EventEmitter } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Caller } from '../../core/access/caller.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { rounds } from '../../core/testing/rounds.ts';
import { AccountConcurrency } from '../../gateway/operations/turns/account-concurrency.ts';
import { ACCOUNT_LIMITS } from '../../gateway/operations/turns/account-limits.ts';
import type { SharedLimits } from '../../gateway/operations/turns/shared-limits.ts';
import { SocketsByAddress } from '../../gateway/transports/websocket/admission/sockets-by-address.ts';
import { PlacePools, limitsOverChannel, offerPlaces } from './place-pools.ts';
import { ProcessChannel, type ChannelEnd } from './process-channel.ts';

/** Workers of one primary process, over channels as Node's are: messages are JSON, and arrive later. */
function workers(count: number) {
  const pools = new PlacePools<object>();
  const calls: string[] = [];
  const all = Array.from({ length: count }, () => {
    const [own, peer] = [new EventEmitter(), new EventEmitter()];
    const end = (here: EventEmitter, there: EventEmitter): ChannelEnd => ({
      send(message) {
        const text = JSON.stringify(message);
        setImmediate(() => there.emit('message', JSON.parse(text)));
      },
      on: (event, listener) => here.on(event, listener),
    });
    const holder = {};
    new ProcessChannel(end(peer, own), offerPlaces(pools, holder));
    const channel = new ProcessChannel(end(own, peer), {});
    const counted: Pick<ProcessChannel, 'call'> = {
      call(method, ...args) {
        calls.push(method);
        return channel.call(method, ...args);
      },
    };
    const limits: SharedLimits = limitsOverChannel(counted, count);
    return { limits, holder, end: () => pools.end(holder) };
  });
  return { pools, all, calls };
}

const caller: Caller = { kind: 'user', userId: 'u1', role: 'READ', sessionKey: null };
const settle = async () => {
  for (let turn = 0; turn < 6; turn++) await new Promise(setImmediate);
};

describe('the operations of one account at several workers', () => {
  test.each([
    ['ordinary', ACCOUNT_LIMITS.runningOperations, 2],
    ['ordinary', ACCOUNT_LIMITS.runningOperations, 3],
    ['ordinary', ACCOUNT_LIMITS.runningOperations, 8],
    ['expensive', ACCOUNT_LIMITS.runningExpensiveOperations, 2],
  ] as const)(
    'run as one number of them (%s: %d at %d workers), and all have their turn',
    async (kind, limit, count) => {
      const { pools, all } = workers(count);
      const gateways = all.map(({ limits }) => new AccountConcurrency(limits));
      let [running, most, done] = [0, 0, 0];
      const run = async (gateway: AccountConcurrency, longMs: number) => {
        const end = await gateway.acquire(caller, kind);
        running += 1;
        most = Math.max(most, running);
        for (let turn = 0; turn < longMs; turn++) await new Promise(setImmediate);
        running -= 1;
        done += 1;
        end();
      };
      const asked = Array.from({ length: 60 }, (_, n) => run(gateways[n % count]!, n % 7));
      await Promise.all(asked);
      expect([done, most]).toEqual([60, limit]);
      await eventually(() => pools.size === 0, 'all places are given back');
      expect(gateways.map(({ size }) => size)).toEqual(gateways.map(() => 0));
    },
  );

  test('wait for no message between processes while it does one thing at a time, nor do its kill switches', async () => {
    const { all, calls } = workers(2);
    const gateway = new AccountConcurrency(all[0]!.limits);
    for (let n = 0; n < 5; n++) (await gateway.acquire(caller, 'ordinary'))();
    const kills = await Promise.all([gateway.acquire(caller, 'kill switch'), gateway.acquire(caller, 'kill switch')]);
    for (const end of kills) end();
    expect(calls).toEqual([]);
  });

  test('are not held up by a worker that has ended', async () => {
    const { all } = workers(2);
    const [one, other] = all.map(({ limits }) => new AccountConcurrency(limits));
    // All that one worker can have: its own place, and those that are lent.
    for (let n = 0; n < 3; n++) void one?.acquire(caller, 'ordinary');
    await settle();
    const begun: number[] = [];
    for (let n = 0; n < 3; n++) void other?.acquire(caller, 'ordinary').then(() => begun.push(n));
    await settle();
    expect(begun).toEqual([0]);
    all[0]?.end();
    await eventually(() => begun.length === 3, 'those of the other go on');
  });
});

describe('the sockets of one address at several workers', () => {
  test('are never more than may be, and those that are closed make room at each of them', async () => {
    const steps = fc.array(fc.record({ worker: fc.nat(2), opens: fc.nat(2).map((n) => n > 0), many: fc.nat(40) }), {
      minLength: 1,
      maxLength: 40,
    });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 1, max: 3 }),
        steps,
        async (limit, count, all) => {
          const { all: workerList, pools } = workers(count);
          const gateways = workerList.map(({ limits }) => ({ sockets: new SocketsByAddress(limit, limits), open: 0 }));
          for (const { worker, opens, many } of all) {
            const gateway = gateways[worker % count]!;
            for (let n = 0; n < many; n++) {
              if (!opens && gateway.open > 0) {
                gateway.sockets.delete('a');
                gateway.open -= 1;
              } else if (opens && gateway.sockets.hasRoom('a')) {
                gateway.sockets.add('a');
                gateway.open += 1;
              }
            }
            if (many % 2 === 0) await settle();
            expect(gateways.reduce((sum, { open }) => sum + open, 0)).toBeLessThanOrEqual(limit);
          }
          for (const gateway of gateways) for (; gateway.open > 0; gateway.open--) gateway.sockets.delete('a');
          await eventually(() => pools.size === 0, 'all places are given back');
        },
      ),
      { numRuns: rounds(100, 3_000) },
    );
  });

  test.each([
    ['all at one', [20_000, 0]],
    ['as the kernel divides them', [10_300, 9_700]],
  ])('may be nearly as many as at one gateway, %s, without waiting for anybody', async (_what, wanted) => {
    const LIMIT = 20_000;
    const { all } = workers(2);
    const gateways = all.map(({ limits }) => new SocketsByAddress(LIMIT, limits));
    let [open, refused] = [0, 0];
    for (let step = 0; step < LIMIT; step++) {
      for (const [index, gateway] of gateways.entries()) {
        if (step >= (wanted[index] ?? 0)) continue;
        if (gateway.hasRoom('a')) {
          gateway.add('a');
          open += 1;
        } else refused += 1;
      }
      // A message between processes takes some handshakes.
      if (step % 50 === 0) await settle();
    }
    // What the others have of their own, a quarter each, and a block are not to be had by one.
    expect(open).toBeGreaterThanOrEqual(wanted[1] === 0 ? LIMIT * 0.7 : LIMIT - 1_250);
    expect(open + refused).toBe(LIMIT);
    expect(gateways[0]?.hasRoom('b')).toBe(true);
  });
});
