import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { boundAddress } from '../../../core/wire/network/http-server.ts';
import { closeWhenSilent } from './silent-socket.ts';

const SILENCE_MS = 200;

const accepted: Socket[] = [];
const server = createServer((socket) => void accepted.push(socket.resume()));
const opened: Socket[] = [];

beforeEach(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(async () => {
  for (const socket of [...opened.splice(0), ...accepted.splice(0)]) socket.destroy();
  server.close();
  await once(server, 'close');
});

async function open(isAnswerDue: () => boolean): Promise<Socket> {
  const socket = connect(boundAddress(server).port, '127.0.0.1');
  opened.push(socket.resume());
  await once(socket, 'connect');
  closeWhenSilent(socket, SILENCE_MS, isAnswerDue);
  return socket;
}

test('a socket whose server does not answer is closed, although requests are still sent, and no other one is', async () => {
  const idle = await open(() => false);
  const answered = await open(() => true);
  const answers = setInterval(() => accepted[1]?.write('answer'), 10);
  const silent = await open(() => true);
  const requests = setInterval(() => silent.write('request'), 10);
  try {
    const message = 'Connection terminated: the server has been silent for 0.2 s';
    expect(await once(silent, 'error')).toEqual([expect.objectContaining({ message })]);
    expect([idle.destroyed, answered.destroyed]).toEqual([false, false]);
  } finally {
    clearInterval(answers);
    clearInterval(requests);
  }
});

test('a socket is not closed at once by a process that did not run for longer than the silence', async () => {
  let isDue = false;
  const socket = await open(() => isDue);
  const wokeAtMs = performance.now() + 3 * SILENCE_MS;
  while (performance.now() < wokeAtMs);
  isDue = true;
  await once(socket, 'error');
  expect(performance.now() - wokeAtMs).toBeGreaterThan(SILENCE_MS / 2);
});

test('a stream that is no socket is left alone', () => {
  const stream = new Duplex();
  closeWhenSilent(stream, 0, () => true);
  expect(stream.listenerCount('close')).toBe(0);
});
