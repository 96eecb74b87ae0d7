/** A gateway in a process of its own that may open few files, as systems limit it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from '@jest/globals';
import { eventually } from '../../../core/testing/eventually.ts';
import { openFilesLimit } from './open-files.ts';

const LIMIT = 300;
/** The number of handshakes, which is more than the process has files for. */
const MANY = 400;

let gateway: ChildProcess | undefined;
const sockets: Socket[] = [];
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  if (gateway === undefined) return;
  const ended = once(gateway, 'exit');
  gateway.kill();
  await ended;
});

/** Starts the gateway; gives its port and what it prints. */
async function start(): Promise<{ port: number; output: () => string }> {
  const serve = fileURLToPath(new URL('./testing/serve.ts', import.meta.url));
  gateway = spawn('sh', ['-c', `ulimit -n ${LIMIT}; exec "$0" "$@"`, process.execPath, '--import', 'tsx', serve], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  gateway.stdout?.setEncoding('utf8').on('data', (text: string) => (output += text));
  const port = await eventually(() => /ws:\/\/127\.0\.0\.1:(\d+)/.exec(output)?.[1], 'the gateway listens');
  return { port: Number(port), output: () => output };
}

/** A vehicle's handshake; gives the socket and the head of the answer, or what has become of the connection. */
function handshake(port: number, userAgent = 'FleetFlag-Agent/1'): Promise<{ socket: Socket; answer: string }> {
  const socket = connect(port, '127.0.0.1');
  sockets.push(socket);
  socket.write(
    `GET /graphql HTTP/1.1\r\nHost: x\r\nUser-Agent: ${userAgent}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n' +
      'Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n',
  );
  return new Promise((resolve) => {
    const end = (answer: string) => resolve({ socket, answer });
    socket.once('data', (data: Buffer) => end(data.toString('latin1')));
    socket.once('error', ({ message }) => end(message));
    socket.once('close', () => end('closed'));
  });
}

test('vehicles that a process has no files for get the time to come back, and others are served meanwhile', async () => {
  const { port, output } = await start();
  expect(openFilesLimit(`/proc/${gateway?.pid ?? 0}/limits`)).toBe(LIMIT);
  const accepted: Socket[] = [];
  const refusals: string[] = [];
  for (let n = 0; n < MANY; n++) {
    const { socket, answer } = await handshake(port);
    if (answer.startsWith('HTTP/1.1 101 ')) accepted.push(socket);
    else refusals.push(answer);
  }
  expect(accepted.length).toBeGreaterThan(LIMIT / 2);
  expect(accepted.length + refusals.length).toBe(MANY);
  expect(refusals.length).toBeGreaterThan(MANY - LIMIT);
  for (const refusal of refusals) expect(refusal).toMatch(/^HTTP\/1\.1 503 [^]*\r\nRetry-After: ([5-9]|1[0-5])\r\n/);
  expect(output().match(/Refusing websockets: this process may open hardly any more files/g)).toHaveLength(1);

  expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(200);
  // A client that is no agent does not come back after a refused handshake, but does after this code.
  const { answer } = await handshake(port, 'graphql-ws');
  expect(answer).toMatch(/^HTTP\/1\.1 101 /);
  expect(Buffer.from(answer, 'latin1').includes(Buffer.from([1013 >> 8, 1013 & 255]))).toBe(true);

  for (const socket of accepted.splice(0, 20)) socket.destroy();
  await eventually(async () => (await handshake(port)).answer.startsWith('HTTP/1.1 101 '), 'there is room again');
}, 60_000);

test('the limit is infinite where the system names none', () => {
  expect(openFilesLimit('/nowhere/limits')).toBe(Infinity);
});
