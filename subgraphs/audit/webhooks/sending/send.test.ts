import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { getEventListeners } from 'node:events';
import { createServer } from 'node:net';
import { AddressPolicy } from './address-policy.ts';
import { sendWebhook, type SendOptions } from './send.ts';
import { Receiver } from '../testing/receiver.ts';

const BODY = '{"type":"webhook.test"}';
const LOCAL = new AddressPolicy(['127.0.0.1']);

let receiver: Receiver;
beforeAll(async () => {
  receiver = await Receiver.start();
});
beforeEach(() => {
  receiver.received.length = 0;
  receiver.answer = (response) => void response.writeHead(204).end();
});
afterAll(() => receiver.close());

const send = (url = receiver.url, options: Partial<SendOptions> = {}) =>
  sendWebhook(
    { url, headers: { 'webhook-id': 'msg_1' }, body: BODY },
    { policy: LOCAL, timeoutMs: 5_000, ended: new AbortController().signal, ...options },
  );
const refusedAddress = { isDelivered: false, status: null, fault: expect.stringContaining('may not be sent') };

test('a message arrives by one POST with its headers and body', async () => {
  expect(await send()).toEqual({ isDelivered: true, status: 204 });
  expect(receiver.received).toMatchObject([{ path: '/hooks', headers: { 'webhook-id': 'msg_1' }, body: BODY }]);
});

describe('a receiver', () => {
  test('that never answers costs the timeout, and no more', async () => {
    receiver.answer = () => undefined;
    expect(await send(receiver.url, { timeoutMs: 200 })).toEqual({
      ...{ isDelivered: false, status: null, retryAfterMs: null },
      fault: 'The receiver did not answer within 0.2 s.',
    });
  });

  test('that answers header by header, and never ends, costs the timeout', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write('HTTP/1.1 200 OK\r\n');
      const timer = setInterval(() => socket.write('x-more: x\r\n'), 20);
      socket.on('close', () => clearInterval(timer));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    expect(await send(`http://127.0.0.1:${port}/`, { timeoutMs: 300 })).toMatchObject({ status: null });
    await new Promise((resolve) => server.close(resolve));
  });

  test('that sends a body without end has accepted the message, and is cut off', async () => {
    const cutOff = new Promise((resolve) => {
      receiver.answer = (response) => {
        response.writeHead(200);
        const more = () => void (response.destroyed || response.write('x'.repeat(65_536), () => setImmediate(more)));
        response.on('close', resolve);
        more();
      };
    });
    expect(await send()).toEqual({ isDelivered: true, status: 200 });
    await cutOff;
  });

  test('that sends endless headers is cut off', async () => {
    receiver.answer = (response) => void response.writeHead(200, { 'x-long': 'x'.repeat(40_000) }).end();
    expect(await send()).toMatchObject({
      isDelivered: false,
      status: null,
      fault: expect.stringMatching(/HPE_HEADER_OVERFLOW/),
    });
  });

  test('that changes the protocol is answered by a fault at once', async () => {
    receiver.answer = (response) =>
      void response.socket?.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n');
    expect(await send()).toMatchObject({ isDelivered: false, status: 101, fault: 'The receiver answered 101.' });
  });

  test("that redirects to a cloud's metadata is not followed", async () => {
    receiver.answer = (response) => void response.writeHead(302, { location: 'http://169.254.169.254/latest' }).end();
    expect(await send()).toMatchObject({
      status: 302,
      fault: 'The receiver answered 302; redirects are not followed.',
    });
    expect(receiver.received).toHaveLength(1);
  });

  test('that closes the connection, or does not listen, is a fault that names the code', async () => {
    receiver.answer = (response) => void response.destroy();
    expect(await send()).toMatchObject({ status: null, fault: 'The connection to the receiver failed (ECONNRESET).' });
    expect(await send('http://127.0.0.1:1/')).toMatchObject({
      fault: 'The connection to the receiver failed (ECONNREFUSED).',
    });
  });

  test.each([
    ['120', 120_000],
    ['x', null],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
  ])('that asks to come back after %s is understood', async (text, retryAfterMs) => {
    receiver.answer = (response) => void response.writeHead(429, { 'retry-after': text }).end('a secret');
    expect(await send()).toEqual({
      isDelivered: false,
      status: 429,
      fault: 'The receiver answered 429.',
      retryAfterMs,
    });
  });

  test('that speaks no TLS is a fault of the connection', async () => {
    const result = await send(receiver.url.replace('http:', 'https:'));
    expect(result).toMatchObject({ isDelivered: false, status: null, fault: expect.stringContaining('failed (') });
  });
});

test('attempts that have ended leave no listener on the signal of the whole process', async () => {
  const ended = new AbortController().signal;
  for (let n = 0; n < 3; n++) await send(receiver.url, { ended });
  expect(getEventListeners(ended, 'abort')).toEqual([]);
  const kept = Object.getOwnPropertySymbols(ended).map((symbol): unknown => Reflect.get(ended, symbol));
  expect(kept.filter((value) => value instanceof Set && value.size > 0)).toEqual([]);
});

describe('an address', () => {
  test('that stands in the URL is checked before a connection is opened', async () => {
    const policy = new AddressPolicy(['10.0.0.0/8']);
    for (const url of [receiver.url, `http://[::ffff:127.0.0.1]:${receiver.port}/`, 'https://169.254.169.254/'])
      expect(await send(url, { policy })).toMatchObject(refusedAddress);
    expect(receiver.received).toEqual([]);
  });

  test('of a name is checked when the connection is opened, each time: a name may change', async () => {
    const url = `http://receiver.test:${receiver.port}/hooks`;
    const answers = [['127.0.0.1'], ['169.254.169.254'], ['127.0.0.2', '127.0.0.1'], ['::ffff:10.0.0.1']];
    const resolve = async () => answers.shift() ?? [];
    expect(await send(url, { resolve })).toMatchObject({ isDelivered: true });
    expect(await send(url, { resolve })).toMatchObject(refusedAddress);
    // A name may have several addresses. The allowed ones of them are tried.
    expect(await send(url, { resolve })).toMatchObject({ isDelivered: true });
    expect(await send(url, { resolve })).toMatchObject(refusedAddress);
    expect(await send(url, { resolve })).toMatchObject(refusedAddress);
    expect(receiver.received.map(({ headers }) => headers.host)).toEqual(
      Array(2).fill(`receiver.test:${receiver.port}`),
    );
  });

  test('that is public is refused over http', async () => {
    const resolve = async () => ['8.8.8.8'];
    expect(await send('http://receiver.test/', { resolve })).toMatchObject(refusedAddress);
  });

  test('of a name whose servers do not answer costs the timeout', async () => {
    const resolve = (_: string, late: AbortSignal) =>
      new Promise<never>((__, reject) => late.addEventListener('abort', () => reject(new Error('cancelled'))));
    expect(await send('http://receiver.test/', { resolve, timeoutMs: 200 })).toMatchObject({
      fault: 'The receiver did not answer within 0.2 s.',
    });
  });
});
