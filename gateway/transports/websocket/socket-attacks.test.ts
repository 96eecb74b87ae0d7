import { afterEach, describe, expect, test } from '@jest/globals';
import type { Duplex } from 'node:stream';
import { gatewayUnderTest, type GatewayUnderTest } from './testing/gateway-under-test.ts';
import type { WireClient } from '../../subscriptions/testing/wire-client.ts';
import { eventually } from '../../../core/testing/eventually.ts';

const NARROW = 'subscription ($e: String!) { changes(environment: $e) { revision flag { key } } }';
const production = { variables: { e: 'production' } };

let gateway: GatewayUnderTest;
const start = async (...options: Parameters<typeof gatewayUnderTest>) => (gateway = await gatewayUnderTest(...options));
afterEach(() => gateway.stop());

/** The TCP socket under a client, to write what `ws` never would. */
const wire = (client: WireClient) => (client.socket as unknown as { _socket: Duplex })._socket;

async function othersGoOn(other: WireClient): Promise<void> {
  gateway.changes.emit({ environment: 'production', revision: 1, flag: { key: 'eco' } });
  await other.result('good');
  expect(other.closed).toBeNull();
}

describe('a client that sends too much', () => {
  test.each<[string, (client: WireClient) => void]>([
    ['messages', (client) => client.send({ type: 'ping' })],
    ['invalid messages', (client) => client.send({ type: 'pong' })],
    ['pings', (client) => client.socket.ping()],
    ['pongs', (client) => client.socket.pong()],
    ['operations', (client) => client.subscribe('x', '{')],
  ])('is closed with a code after which honest ones come back, and counted: %s', async (_what, send) => {
    await start({ limits: { messagesPerSecond: 0.001, messageBurst: 20 } });
    const [flood, other] = await Promise.all([gateway.client(), gateway.client()]);
    other.subscribe('good', NARROW, production);
    flood.subscribe('a', NARROW, production);
    await gateway.operations(2);
    for (let count = 0; count < 30; count++) send(flood);
    expect(await flood.close()).toEqual({ code: 1013, reason: 'Too many messages' });
    expect(gateway.server.counters().rateClosed).toBe(1);
    await eventually(() => gateway.server.counters().operations === 1, 'its operations to end');
    await othersGoOn(other);
  });

  test('may send as much again as time has passed', async () => {
    await start({ limits: { messagesPerSecond: 1_000_000, messageBurst: 5 } });
    const client = await gateway.client();
    for (let count = 0; count < 50; count++) {
      client.send({ type: 'ping' });
      await eventually(() => client.received.filter(({ type }) => type === 'pong').length === count + 1, 'the pong');
    }
    expect(client.closed).toBeNull();
  });
});

describe('an invalid frame', () => {
  const masked = (head: number[], payload: number[] = []) =>
    Buffer.from([...head.slice(0, 1), 0x80 | payload.length, 0, 0, 0, 0, ...payload]);
  const longText = (text: string) =>
    Buffer.from([0x81, 0xfe, text.length >> 8, text.length & 0xff, 0, 0, 0, 0, ...Buffer.from(text)]);

  // RFC 6455: 5.1 (masking), 5.2 (reserved bits, opcodes), 5.4 (fragments), 5.5 (control frames), 8.1 (UTF-8).
  test.each<[string, Buffer, number]>([
    ['not masked', Buffer.from([0x81, 0x02, 0x7b, 0x7d]), 1002],
    ['with reserved bits', masked([0xf1], [0x7b, 0x7d]), 1002],
    ['with a reserved opcode', masked([0x83], [0x7b]), 1002],
    ['a continuation of nothing', masked([0x80], [0x7b]), 1002],
    ['a ping in fragments', masked([0x09]), 1002],
    ['text that is not UTF-8', masked([0x81], [0xc3, 0x28]), 1007],
    ['binary', masked([0x82], [0x7b, 0x7d]), 4400],
    ['compressed, which nobody agreed to', masked([0xc1], [0x7b, 0x7d]), 1002],
    ['of 2^63 bytes', Buffer.from([0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]), 1009],
    // Below `maxPayload`.
    [
      'nested 12,000 levels deep',
      longText(`{"type":"ping","payload":${'['.repeat(12_000)}${']'.repeat(12_000)}}`),
      4400,
    ],
  ])('closes its own socket, and no other: %s', async (_what, bytes, code) => {
    await start();
    const [bad, other] = await Promise.all([gateway.client(), gateway.client()]);
    other.subscribe('good', NARROW, production);
    await gateway.operations(1);
    wire(bad).write(bytes);
    expect((await bad.close()).code).toBe(code);
    await othersGoOn(other);
    await eventually(() => gateway.server.counters().sockets === 1, 'its socket to be gone');
  });
});
