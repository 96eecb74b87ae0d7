import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { FaultyRelay } from '../testing/faulty-relay.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { WrongGateway, acknowledge, type AgentMessage, type Upgrade } from '../testing/wrong-gateway.ts';

/** One vehicle lives through all of it. */
let plane: TestControlPlane;
let wrong: WrongGateway;
let relay: FaultyRelay;
let vehicle: TestVehicle;
let agent: FleetFlagAgent;
const unhandled: unknown[] = [];
const note = (error: unknown) => void unhandled.push(error);

beforeAll(async () => {
  process.on('unhandledRejection', note);
  plane = await TestControlPlane.start();
  wrong = await WrongGateway.start();
  relay = await FaultyRelay.open(portOfPlane());
  vehicle = await TestVehicle.create(plane);
  await plane.put('lane_keep', { defaultValue: true });
  agent = await vehicle.start({ url: relay.url, timings: { openMs: 500, acknowledgeMs: 100, requestMs: 100 } });
  await inSync();
});

afterAll(async () => {
  await vehicle.dispose();
  await relay.close();
  await wrong.stop();
  await plane.stop();
  process.off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
});

const portOfPlane = () => Number(new URL(plane.url).port);
const inSync = () => eventually(() => agent.inTouch && agent.status().revision === plane.revision, 'it is in sync');

/** Handshakes with the wrong gateway in the present test. */
let met = 0;

/**
 * The vehicle meets `onUpgrade` until it is enough (three times), evaluates all the while, and is in sync once it is
 * gone.
 */
async function meets(onUpgrade: (upgrade: Upgrade) => void, enough: () => boolean = () => met >= 3): Promise<void> {
  met = 0;
  wrong.onUpgrade = (upgrade) => {
    met += 1;
    onUpgrade(upgrade);
  };
  relay.port = wrong.port;
  relay.cut();
  await plane.put('lane_keep', { defaultValue: true });
  await eventually(enough, 'it has tried again and again');
  expect(agent.booleanValue('lane_keep', false)).toBe(true);
  expect(agent.status().revision).toBe(plane.revision - 1);
  relay.port = portOfPlane();
  relay.cut();
  await inSync();
}

const http =
  (head: string) =>
  ({ socket }: Upgrade) =>
    void socket.end(`HTTP/1.1 ${head}\r\nconnection: close\r\n\r\n`);
const first =
  (message: string | Buffer) =>
  ({ accept }: Upgrade) =>
    accept().send(message);
const afterwards =
  (answer: (message: AgentMessage) => unknown) =>
  ({ accept }: Upgrade) =>
    acknowledge(accept(), answer);

function writeForEver(socket: Duplex, chunk: Buffer | string): void {
  const more = () => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on('drain', more);
  more();
}

const faults: [string, (upgrade: Upgrade) => void][] = [
  ['answers the handshake with 200', http('200 OK')],
  ['answers the handshake with 302', http('302 Found\r\nlocation: http://127.0.0.1:1/graphql')],
  ['answers the handshake with 401', http('401 Unauthorized')],
  ['answers the handshake with 426', http('426 Upgrade Required')],
  ['answers the handshake with 500', http('500 Internal Server Error')],
  [
    'answers the handshake with a page that does not end',
    ({ socket }) => {
      socket.write('HTTP/1.1 503 Service Unavailable\r\n\r\n');
      writeForEver(socket, 'x'.repeat(65_536));
    },
  ],
  [
    'answers the handshake with a header that does not end',
    ({ socket }) => writeForEver(socket, `x-more: ${'x'.repeat(1_000)}\r\n`),
  ],
  ['answers the handshake with something that is no HTTP', ({ socket }) => void socket.end('SSH-2.0-OpenSSH_9.2\r\n')],
  [
    'answers the handshake with a wrong key',
    http('101 Switching Protocols\r\nupgrade: websocket\r\nsec-websocket-accept: AAAA'),
  ],
  ['closes in the handshake', ({ socket }) => void socket.end()],
  ['chooses another subprotocol', ({ accept }) => accept('graphql-ws')],
  ['chooses no subprotocol', ({ accept }) => accept(false)],
  ['accepts and says nothing more', ({ accept }) => accept()],
  ['speaks before it has acknowledged', first('{"id":"changes","type":"next","payload":{"data":{}}}')],
  ['sends a message that is no JSON', first('{"type":')],
  ['sends JSON that is no message', first('[null]')],
  ['sends a message of an unknown type', first('{"type":"hello"}')],
  ['sends bytes instead of text', first(Buffer.from([0, 1, 2, 255]))],
  [
    'sends text that is no UTF-8',
    ({ accept, socket }) => {
      accept();
      socket.write(Buffer.from([0x81, 0x02, 0xff, 0xfe]));
    },
  ],
  [
    'sends a frame with reserved bits',
    ({ accept, socket }) => {
      accept();
      socket.write(Buffer.from([0xf1, 0x00]));
    },
  ],
  [
    'says that a frame of 4 GB comes',
    ({ accept, socket }) => {
      accept();
      socket.write(Buffer.from([0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0]));
      writeForEver(socket, Buffer.alloc(65_536, 'x'));
    },
  ],
  ['acknowledges and then answers nothing', afterwards(() => null)],
  ['acknowledges and then sends an unknown type', afterwards(({ id }) => ({ id, type: 'surprise' }))],
  ['answers with errors that are no list', afterwards(({ id }) => ({ id, type: 'error', payload: 'no' }))],
  ['ends the stream', afterwards(({ id }) => ({ id, type: 'complete' }))],
  ['refuses the stream', afterwards(({ id }) => ({ id, type: 'error', payload: [{ message: 'no' }] }))],
];

test.each(faults)(
  'an agent connects again to a gateway that %s, and is in sync with the next correct one',
  (_what, fault) => meets(fault),
);

test('an agent connects again whatever code the gateway closes with, before it has acknowledged and after', async () => {
  // Codes after which graphql-ws reconnects, codes after which it gives up, and some that are not defined.
  const codes = [
    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 3000, 4400, 4401, 4403, 4406, 4408, 4409, 4429, 4499,
    4500, 4999,
  ];
  const left = codes.flatMap((code) => [
    { code, acknowledges: false },
    { code, acknowledges: true },
  ]);
  await meets(
    ({ accept }) => {
      const websocket = accept();
      const { code, acknowledges } = left.shift() ?? { code: 1008, acknowledges: true };
      if (!acknowledges) return websocket.close(code, 'go away');
      acknowledge(websocket, () => null);
      websocket.on('message', () => websocket.close(code, 'go away'));
    },
    () => left.length === 0,
  );
});

test.each<[string, unknown]>([
  ['null', null],
  ['a number', { flagSync: 7 }],
  ['another environment', { flagSync: { environment: 'STAGING', revision: 9, full: false, flags: [], proof: '' } }],
  [
    'a revision that is text',
    { flagSync: { environment: 'PRODUCTION', revision: '9', full: false, flags: [], proof: '' } },
  ],
  [
    'a revision that is negative',
    { flagSync: { environment: 'PRODUCTION', revision: -9, full: false, flags: [], proof: '' } },
  ],
  [
    'flags that are no list',
    { flagSync: { environment: 'PRODUCTION', revision: 9, full: false, flags: 'all', proof: '' } },
  ],
  [
    'a flag that is null',
    { flagSync: { environment: 'PRODUCTION', revision: 9, full: false, flags: [null], proof: '' } },
  ],
  ['no proof', { flagSync: { environment: 'PRODUCTION', revision: 9, full: false, flags: [] } }],
])('a sync that answers with %s changes nothing, is counted, and is repeated', async (_what, data) => {
  const refusals = () => Object.values(agent.status().refusals).reduce((sum, count) => sum + count, 0);
  const before = refusals();
  await meets(
    ({ accept }) => {
      const websocket = accept();
      acknowledge(websocket, ({ type, id, payload }) => {
        if (type !== 'subscribe' || !payload?.query?.startsWith('query Sync')) return null;
        websocket.send(JSON.stringify({ id, type: 'next', payload: { data } }));
        return { id, type: 'complete' };
      });
    },
    () => refusals() >= before + 3,
  );
});

test('a message that does not end is given up before it has filled the memory', async () => {
  // What the vehicle itself has read: what the gateway has sent is more, by as much as the system's own buffers hold.
  const sockets = new Set<Socket>();
  const seen = (message: unknown) => {
    const { socket } = message as { socket: Socket };
    socket.once('connect', () => {
      if (socket.remotePort === Number(new URL(relay.url).port)) sockets.add(socket);
    });
  };
  subscribe('net.client.socket', seen);
  try {
    await meets(({ accept, socket }) => {
      accept();
      // Text that goes on, a fragment of 64 KiB each.
      const fragment = Buffer.concat([Buffer.from([0x00, 127, 0, 0, 0, 0, 0, 1, 0, 0]), Buffer.alloc(65_536, 'x')]);
      socket.write(Buffer.concat([Buffer.from([0x01]), fragment.subarray(1)]));
      writeForEver(socket, fragment);
    });
  } finally {
    unsubscribe('net.client.socket', seen);
  }
  const most = Math.max(...Array.from(sockets, ({ bytesRead }) => bytesRead));
  expect(most).toBeGreaterThan(1_000_000);
  // 8 MiB, and what is read and discarded until the connection is closed: how much depends on the machine's pace.
  expect(most).toBeLessThan(32_000_000);
});
