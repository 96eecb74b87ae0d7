import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { Duplex, PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { eventually } from '../../../../core/testing/eventually.ts';
import { rounds } from '../../../../core/testing/rounds.ts';
import { boundAddress } from '../../../../core/wire/network/http-server.ts';
import { tcpHandleOf } from './direct-writes.ts';
import { ServerSocket, type SocketOwner } from './server-socket.ts';

const MAX_MESSAGE = 1_000;
const NOBODY: SocketOwner = {
  message: () => undefined,
  pinged: () => true,
  ponged: () => undefined,
  closing: () => undefined,
  closed: () => undefined,
};

const listener = createServer();
let open: Socket[];

/** Both ends of a connection; the client reads nothing until `resume`. */
async function connectionPair(): Promise<{ connection: Socket; client: Socket }> {
  if (!listener.listening) await once(listener.listen(0, '127.0.0.1'), 'listening');
  const accepted = once(listener, 'connection');
  const client = connect(boundAddress(listener).port, '127.0.0.1').pause();
  const [connection] = (await accepted) as [Socket];
  client.on('error', () => undefined);
  open.push(client, connection);
  return { connection, client };
}

/** A socket that has written before, so that the next write need not go through the stream. */
async function usedPair(owner = NOBODY) {
  const { connection, client } = await connectionPair();
  const socket = new ServerSocket(connection, MAX_MESSAGE);
  socket.attach(owner, Buffer.alloc(0));
  socket.write(Buffer.from('-'));
  client.resume();
  const [first] = (await once(client, 'data')) as [Buffer];
  client.pause();
  expect(first.toString()).toBe('-');
  return { connection, client, socket };
}

/** Writes until bytes wait in this process. */
function fill(socket: ServerSocket, bytes: Buffer): number {
  let written = 0;
  while (socket.waitingBytes === 0) {
    socket.write(bytes);
    written += bytes.length;
  }
  return written;
}

beforeEach(() => void (open = []));
afterEach(async () => {
  for (const socket of open) socket.destroy();
  await new Promise<unknown>((resolve) => (listener.listening ? listener.close(resolve) : resolve(null)));
});

describe('what a socket writes', () => {
  test('goes to the kernel without the stream of the connection, while nothing waits', async () => {
    const { connection, client, socket } = await usedPair();
    const byStream = jest.spyOn(connection, 'write');
    const isTried = tcpHandleOf(connection) !== null;
    const bytes = Buffer.from('first, ');
    socket.write(bytes);
    expect([byStream.mock.calls.length, socket.waitingBytes]).toEqual([isTried ? 0 : 1, 0]);
    // The kernel has copied them.
    bytes.write('second ');
    socket.write(bytes);
    client.resume();
    let heard = '';
    client.on('data', (data: Buffer) => (heard += data.toString()));
    await eventually(() => heard === 'first, second ', 'both have come');
  });

  test('arrives whole and in order however much of it waits, and whichever way it goes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(900_000), fc.boolean(), fc.boolean()), { minLength: 5, maxLength: 30 }),
        async (writes) => {
          const { client, socket } = await usedPair();
          const sent: Buffer[] = [];
          let received = Buffer.alloc(0);
          client.on('data', (data: Buffer) => (received = Buffer.concat([received, data])));
          client.pause();
          for (const [index, [length, reads, pauses]] of writes.entries()) {
            const bytes = Buffer.alloc(length, index);
            sent.push(bytes);
            socket.write(bytes);
            if (reads) client.resume();
            else client.pause();
            if (pauses) await new Promise(setImmediate);
          }
          client.resume();
          const all = Buffer.concat(sent);
          await eventually(() => received.length === all.length, 'all have come');
          expect(received.equals(all)).toBe(true);
          await eventually(() => socket.waitingBytes === 0, 'nothing waits');
          socket.terminate();
        },
      ),
      { numRuns: rounds(8, 100) },
    );
  });

  test.each([
    ['alone', false],
    ['and more behind it', true],
  ])('notifies its callers when it has been read, %s', async (_what, more) => {
    const { client, socket } = await usedPair();
    const bytes = Buffer.alloc(100_000, 'x');
    fill(socket, bytes);
    if (more) for (let n = 0; n < 10; n++) socket.write(bytes);
    const waited = socket.waitingBytes;
    let drained = 0;
    for (let n = 0; n < 2; n++) socket.onceDrained(() => (drained += 1));
    await new Promise(setImmediate);
    expect([waited > (more ? 1_000_000 : 0), drained]).toEqual([true, 0]);
    client.resume();
    await eventually(() => drained === 2, 'both are notified');
    expect(socket.waitingBytes).toBe(0);
  });

  test.each([
    ['nothing', 0],
    ['few', 100],
    ['many', 100_000],
  ])('notifies a caller when %s bytes wait in the stream alone, and not before they are written', async (_, bytes) => {
    let release = () => undefined as void;
    const connection = new Duplex({
      read: () => undefined,
      write: (_chunk, _encoding, done) => void (release = done),
    });
    const socket = new ServerSocket(connection, MAX_MESSAGE);
    if (bytes > 0) socket.write(Buffer.alloc(bytes));
    const drained = jest.fn();
    socket.onceDrained(drained);
    await new Promise(setImmediate);
    expect([socket.waitingBytes, drained.mock.calls.length]).toEqual([bytes, 0]);
    await eventually(() => {
      release();
      return drained.mock.calls.length === 1;
    }, 'the caller is notified');
    expect(socket.waitingBytes).toBe(0);
    connection.destroy();
  });

  test('notifies nobody once the connection has ended', async () => {
    const connection = new Duplex({ read: () => undefined, write: () => undefined });
    const socket = new ServerSocket(connection, MAX_MESSAGE);
    socket.attach(NOBODY, Buffer.alloc(0));
    const drained = jest.fn();
    socket.write(Buffer.alloc(100));
    socket.onceDrained(drained);
    socket.terminate();
    socket.onceDrained(drained);
    await once(connection, 'close');
    expect(drained).not.toHaveBeenCalled();
  });

  test('is followed by the end of the connection, not cut off by it', async () => {
    const { client, socket } = await usedPair();
    const written = fill(socket, Buffer.alloc(100_000, 'x'));
    socket.closeFrame(1000, '');
    let received = 0;
    client.on('data', (data: Buffer) => (received += data.length)).resume();
    await once(client, 'end');
    // The client has received everything, and the close frame.
    expect(received).toBe(written + 4);
  });

  test.each([
    ['at rest', 0],
    ['behind', 100_000],
  ])('ends a socket %s once whose client is gone, and is dropped after that', async (_, bytes) => {
    const owner = { ...NOBODY, closed: jest.fn(), closing: jest.fn() };
    const { connection, client, socket } = await usedPair(owner);
    if (bytes > 0) fill(socket, Buffer.alloc(bytes, 'x'));
    client.resetAndDestroy();
    await eventually(() => {
      socket.write(Buffer.from('y'));
      return owner.closed.mock.calls.length === 1;
    }, 'the owner is notified');
    socket.write(Buffer.from('y'));
    expect([owner.closing.mock.calls.length, owner.closed.mock.calls.length]).toEqual([1, 1]);
    expect([connection.destroyed, socket.isOpen]).toEqual([true, false]);
  });

  test('into a connection that was just destroyed ends the socket', async () => {
    const owner = { ...NOBODY, closed: jest.fn() };
    const { connection, socket } = await usedPair(owner);
    connection.destroy();
    socket.write(Buffer.from('y'));
    expect(socket.isOpen).toBe(false);
    await eventually(() => owner.closed.mock.calls.length === 1, 'the owner is notified');
  });
});

describe('the handle of a connection', () => {
  test('is used of versions of Node only that were tried', async () => {
    const { connection } = await connectionPair();
    expect(tcpHandleOf(connection, '20.20.2')).not.toBeNull();
    for (const version of ['18.20.0', '22.1.0', '24.0.0', '200.1.0', ''])
      expect(tcpHandleOf(connection, version)).toBeNull();
  });

  test('is used of plain TCP only', async () => {
    const { connection } = await connectionPair();
    const like = (handle: object) => Object.assign(new PassThrough(), { _handle: handle });
    class TLSWrap {
      writeBuffer = () => 0;
      writeQueueSize = 0;
    }
    for (const other of [new PassThrough(), like(new TLSWrap()), like({})])
      expect(tcpHandleOf(other, '20.0.0')).toBeNull();
    connection.destroy();
    expect(tcpHandleOf(connection, '20.0.0')).toBeNull();
  });

  test('without it a socket writes by the stream', () => {
    const written: string[] = [];
    const connection = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        written.push(chunk.toString());
        done();
      },
    });
    const socket = new ServerSocket(connection, MAX_MESSAGE);
    socket.write(Buffer.from('one'));
    socket.write(Buffer.from('two'));
    expect([written, socket.waitingBytes]).toEqual([['one', 'two'], 0]);
  });
});
