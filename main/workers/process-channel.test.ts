import { EventEmitter } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import { createInProcessStore } from '../../subgraphs/shared/stores/key-value-store.ts';
import { createInProcessRateLimiter } from '../../subgraphs/shared/stores/rate-limiter.ts';
import { ProcessChannel, type ChannelEnd, type Methods } from './process-channel.ts';
import { cacheOverChannel, offerCache } from './shared-cache.ts';

/** Two ends of a channel, as Node's are: messages are JSON, and arrive later. */
function ends(): { readonly ends: readonly [ChannelEnd, ChannelEnd]; readonly sent: () => number } {
  const [one, other] = [new EventEmitter(), new EventEmitter()];
  let sent = 0;
  const end = (own: EventEmitter, peer: EventEmitter): ChannelEnd => ({
    send(message) {
      sent += 1;
      const text = JSON.stringify(message);
      setImmediate(() => peer.emit('message', JSON.parse(text)));
    },
    on: (event, listener) => own.on(event, listener),
  });
  return { ends: [end(one, other), end(other, one)], sent: () => sent };
}

function pair(methods: Methods) {
  const { ends: both, sent } = ends();
  return { caller: new ProcessChannel(both[0], {}), callee: new ProcessChannel(both[1], methods), sent };
}

describe('a call between processes', () => {
  test('gives what the method at the other end gives, both ways, and several at once', async () => {
    const { ends: both } = ends();
    const one = new ProcessChannel(both[0], { double: (value) => Number(value) * 2 });
    const other = new ProcessChannel(both[1], { join: async (...parts) => parts.join('-') });
    expect(
      await Promise.all([one.call('join', 'a', 1), one.call('join'), other.call('double', 4), one.call('join', 'b')]),
    ).toEqual(['a-1', '', 8, 'b']);
  });

  test('rejects with the fault of the method, and where there is no such method', async () => {
    const { caller } = pair({
      fail: () => Promise.reject(new Error('No room')),
      // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- what a package may do
      shout: () => Promise.reject('No'),
    });
    await expect(caller.call('fail')).rejects.toThrow('No room');
    await expect(caller.call('shout')).rejects.toThrow('No');
    await expect(caller.call('constructor')).rejects.toThrow('offers no constructor');
  });

  test('travels in one message with all others of its turn, and so do the answers', async () => {
    const { caller, sent } = pair({ echo: (value) => value });
    await Promise.all(Array.from({ length: 500 }, (_, index) => caller.call('echo', index)));
    expect(sent()).toBe(2);
  });

  test('rejects when the channel closes before the answer, and after that', async () => {
    const { caller } = pair({ never: () => new Promise(() => undefined) });
    const asked = caller.call('never');
    caller.close();
    await expect(asked).rejects.toThrow('closed before the answer');
    await expect(caller.call('never')).rejects.toThrow('is closed');
  });

  test('is not heard after the end of the process that has made it', async () => {
    const heard: unknown[] = [];
    const { caller, callee } = pair({ note: (value) => heard.push(value) });
    await caller.call('note', 'before');
    void caller.call('note', 'on its way');
    await new Promise(setImmediate);
    callee.close();
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
    expect(heard).toEqual(['before']);
  });

  test('is not disturbed by messages that are none of its own', async () => {
    const { ends: both } = ends();
    const caller = new ProcessChannel(both[0], {});
    for (const message of [null, 7, { calls: 'x', answers: [[9, null, 1], [null], 'y'] }, { calls: [[1, 2]] }])
      both[1].send({ message, ...(typeof message === 'object' ? message : {}) });
    const callee = new ProcessChannel(both[1], { echo: (value) => value });
    expect(await caller.call('echo', 'heard')).toBe('heard');
    callee.close();
  });
});

describe('the stores of the primary process, seen from a worker', () => {
  function shared() {
    const cache = { store: createInProcessStore(), limiter: createInProcessRateLimiter() };
    const { ends: both } = ends();
    const worker = new ProcessChannel(both[0], {});
    const primary = new ProcessChannel(both[1], offerCache(cache));
    return { cache, worker: cacheOverChannel(worker), close: () => worker.close(), primary };
  }

  test('give the sessions that are there, and count rates with all others', async () => {
    const { cache, worker } = shared();
    await cache.store.set('session:1', 'record', 60);
    expect([await worker.store.get('session:1'), await worker.store.get('session:2')]).toEqual(['record', null]);
    await worker.store.ping();
    expect(await worker.limiter.consume('key', 3, 60)).toMatchObject({ allowed: true, remaining: 2 });
    expect(await cache.limiter.consume('key', 3, 60)).toMatchObject({ allowed: true, remaining: 1 });
    expect(await worker.limiter.consume('key', 3, 60)).toMatchObject({ allowed: true, remaining: 0 });
    expect(await worker.limiter.consume('key', 3, 60)).toMatchObject({ allowed: false });
    await worker.limiter.giveBack('key', 60);
    expect(await worker.limiter.consume('key', 3, 60)).toMatchObject({ allowed: false });
    await worker.limiter.reset('key', 60);
    expect(await worker.limiter.consume('key', 3, 60)).toMatchObject({ allowed: true, remaining: 2 });
  });

  test('answer SERVICE_UNAVAILABLE when the primary process is gone, or refuses what is no call', async () => {
    const { worker, close } = shared();
    await expect(worker.limiter.consume('key', NaN, 60)).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
    close();
    await expect(worker.store.get('session:1')).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
    await expect(worker.store.ping()).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
  });
});
