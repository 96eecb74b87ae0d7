/** The limits that workers share, on real processes, channels and sockets. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from '@jest/globals';
import { eventually } from '../../core/testing/eventually.ts';

const LIMIT = 32;
/** The most sockets of one worker: a quarter of the limit of its own, and the half that is lent. */
const MOST_OF_ONE = 24;

const primary = spawn(
  process.execPath,
  ['--import', 'tsx', fileURLToPath(new URL('./testing/sharing-workers.ts', import.meta.url))],
  { env: { ...process.env, SOCKETS: String(LIMIT) }, stdio: ['pipe', 'pipe', 'inherit'] },
);
let output = '';
primary.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
const open = new Set<Socket>();
afterAll(async () => {
  for (const socket of open) socket.destroy();
  const ended = once(primary, 'exit');
  primary.kill();
  await ended;
});

/** Asks for a websocket, which is in `open` for as long as it is; gives the status, or 0 where the connection ended. */
async function upgrade(port: number): Promise<number> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined).on('close', () => open.delete(socket));
  socket.write(
    'GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n',
  );
  const status = await new Promise<number>((resolve) => {
    socket.once('data', (data: Buffer) => resolve(Number(data.toString('latin1').split(' ', 2)[1])));
    socket.once('close', () => resolve(0));
  });
  if (status === 101) open.add(socket);
  else socket.destroy();
  return status;
}

test('sockets of one address are bounded over both workers, and a killed one leaves its places to the other', async () => {
  await eventually(() => output.split('"url"').length === 3, 'both workers listen', 60_000);
  const pids = [...output.matchAll(/"pid":(\d+)/g)].map(([, pid]) => Number(pid));
  const ports = new Set([...output.matchAll(/:(\d+)\/graphql/g)].map(([, port]) => Number(port)));
  expect(ports.size).toBe(1);
  const [port = 0] = ports;
  const statuses = new Set<number>();
  // Many at once, so that both workers take some.
  for (let round = 0; round < 20; round++) {
    for (const status of await Promise.all(Array.from({ length: 20 }, () => upgrade(port)))) statuses.add(status);
    expect(open.size).toBeLessThanOrEqual(LIMIT);
  }
  expect([...statuses].sort()).toEqual([101, 429]);
  expect(open.size).toBeGreaterThanOrEqual(MOST_OF_ONE);

  process.kill(pids[0] ?? 0, 'SIGKILL');
  await eventually(async () => {
    await upgrade(port);
    return open.size === MOST_OF_ONE;
  }, 'the other worker has all that are lent');
  for (const socket of open) socket.destroy();
  await eventually(() => {
    primary.stdin.write('\n');
    return output.includes('{"pools":0}');
  }, 'all that was lent has come back');
}, 120_000);
