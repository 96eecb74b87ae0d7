import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { RateLimiter } from '../../../core/access/rate-limiter.ts';
import type { Bus } from '../feeds/bus.ts';
import type { KeyValueStore } from './key-value-store.ts';
import { openRedis } from './redis.ts';
import { silent } from '../testing/asking.ts';
import { busContract } from '../testing/bus-contract.ts';
import { eventually } from '../../../core/testing/eventually.ts';
import { keyValueStoreContract } from '../testing/key-value-store-contract.ts';
import { rateLimiterContract } from '../testing/rate-limiter-contract.ts';
import { openProxy, type SeverableProxy } from '../testing/severable-proxy.ts';
import { describeUnless } from '../../../core/testing/unless.ts';

const url = process.env['TEST_REDIS_URL'];
/** npm has no Redis server to install: without one, only its absence is tested. */
const withServer = describeUnless(url === undefined || url === '' ? 'TEST_REDIS_URL names no Redis server' : null);

test('a server that does not answer is named by its setting', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  await expect(openRedis(`redis://127.0.0.1:${port}`, silent)).rejects.toMatchObject({
    code: 'SERVICE_UNAVAILABLE',
    message: expect.stringContaining('REDIS_URL'),
  });
});

withServer('on a Redis server', () => {
  const two = async () => Promise.all([openRedis(url ?? '', silent), openRedis(url ?? '', silent)]);

  describe('the bus', () => {
    busContract(async () => {
      const [here, there] = await two();
      return [here.bus, there.bus];
    });
  });

  describe('the store', () => {
    keyValueStoreContract(async () => {
      const [here, there] = await two();
      return [here.store, there.store];
    });
  });

  describe('the rate limiter', () => {
    rateLimiterContract(async () => {
      const [here, there] = await two();
      return {
        here: here.limiter,
        there: there.limiter,
        close: async () => void (await Promise.all([here.store.close(), there.store.close()])),
      };
    });
  });

  describe('that stops answering and answers again', () => {
    let proxy: SeverableProxy;
    let bus: Bus;
    let store: KeyValueStore;
    let limiter: RateLimiter;

    beforeEach(async () => {
      const target = new URL(url ?? '');
      proxy = await openProxy({ host: target.hostname, port: Number(target.port || 6379) });
      target.host = `127.0.0.1:${proxy.port}`;
      ({ bus, store, limiter } = await openRedis(target.href, silent));
    });

    afterEach(async () => {
      await bus.close();
      await store.close();
      await proxy.close();
    });

    test('every command is refused as SERVICE_UNAVAILABLE meanwhile, and works afterwards', async () => {
      proxy.sever();
      await eventually(() =>
        store.ping().then(
          () => false,
          () => true,
        ),
      );
      const commands = [
        () => store.ping(),
        () => store.get('x'),
        () => store.set('x', 'y', 1),
        () => store.delete('x'),
        () => store.setIfAbsent('x', 'y', 1),
        () => store.addMember('x', 'y', 1),
        () => store.members('x'),
        () => store.removeMember('x', 'y'),
        () => bus.publish('x', 'y'),
        () => bus.subscribe('x', () => undefined),
      ];
      for (const command of commands)
        await expect(command()).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE', details: { retryAfter: 1 } });
      proxy.restore();
      await eventually(() =>
        store.ping().then(
          () => true,
          () => false,
        ),
      );
    });

    test('and whose connections have died in silence, has new ones in time, whatever is sent on them', async () => {
      proxy.lose();
      await eventually(() =>
        Promise.race([
          store.ping().then(
            () => true,
            () => false,
          ),
          new Promise((resolve) => setTimeout(resolve, 100, false)),
        ]),
      );
    });

    test('and whose connections have died in silence, sends listeners their messages again, though they ask for nothing', async () => {
      const heard: string[] = [];
      const channel = `test-${proxy.port}-${process.pid}`;
      await bus.subscribe(channel, (message) => heard.push(message));
      proxy.lose();
      const other = await openRedis(url ?? '', silent);
      try {
        await eventually(async () => {
          await other.bus.publish(channel, 'news');
          return heard.length > 0;
        });
      } finally {
        await other.bus.close();
      }
    });

    test('each process counts uses for itself meanwhile', async () => {
      proxy.sever();
      await eventually(() =>
        store.ping().then(
          () => false,
          () => true,
        ),
      );
      expect(await limiter.consume('test-alone', 1, 60)).toMatchObject({ allowed: true, remaining: 0 });
      expect(await limiter.consume('test-alone', 1, 60)).toMatchObject({ allowed: false });
    });

    test('listeners receive messages again without doing anything', async () => {
      const heard: string[] = [];
      const channel = `test-${proxy.port}-${process.pid}`;
      await bus.subscribe(channel, (message) => heard.push(message));
      proxy.sever();
      await eventually(() =>
        store.ping().then(
          () => false,
          () => true,
        ),
      );
      proxy.restore();
      await eventually(() =>
        bus.publish(channel, 'back').then(
          () => heard.includes('back'),
          () => false,
        ),
      );
    });
  });
});
