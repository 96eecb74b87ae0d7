import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { MobileNetwork } from './mobile-network.ts';
import { boundAddress } from '../../../core/wire/network/http-server.ts';

let server: Server;
let network: MobileNetwork;
const open: Socket[] = [];

beforeEach(async () => {
  server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  network = await MobileNetwork.open('127.0.0.1', boundAddress(server).port);
});

afterEach(async () => {
  for (const socket of open.splice(0)) socket.destroy();
  await network.close();
  server.close();
});

function dial(): Socket {
  const socket = connect(Number(new URL(network.wsUrl).port), '127.0.0.1');
  socket.on('error', () => undefined);
  open.push(socket);
  return socket;
}

async function echo(text: string): Promise<string> {
  const socket = dial();
  socket.write(text);
  const [answer] = (await once(socket, 'data')) as [Buffer];
  return answer.toString();
}

test("a vehicle's data reaches the control plane, and the answer reaches the vehicle", async () => {
  expect(await echo('hello')).toBe('hello');
});

test('a cut ends open connections and accepts no new one until the network is restored', async () => {
  const before = dial();
  before.write('x');
  await once(before, 'data');
  network.cut();
  await once(before, 'close');
  await once(dial(), 'close');
  network.restore();
  expect(await echo('again')).toBe('again');
});

test('a stopped control plane looks to the vehicle like a connection that ends', async () => {
  server.close();
  await once(server, 'close');
  await once(dial(), 'close');
});
