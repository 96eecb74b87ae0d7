import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { afterAll, expect, test } from '@jest/globals';
import { eventually } from '../../../../core/testing/eventually.ts';
import { boundAddress } from '../../../../core/wire/network/http-server.ts';
import { tcpHandleOf, writeAtOnce, type TcpHandle } from './direct-writes.ts';

/** A process whose clients read while this one writes. */
const READERS = 2;
const READER = `
  const { connect } = require('node:net');
  for (let n = 0; n < ${READERS}; n++) connect(Number(process.argv[1]), '127.0.0.1').on('data', () => undefined);
`;
/** About as many bytes as the kernel takes: at the first attempt it often takes all but a few. */
const LARGE = Buffer.alloc(3_000_000);

const listener = createServer();
const connections: Socket[] = [];
listener.on('connection', (connection) => {
  connections.push(connection);
  connection.on('error', () => undefined);
});
let readers: ReturnType<typeof spawn> | undefined;

afterAll(async () => {
  readers?.kill();
  for (const connection of connections) connection.destroy();
  await new Promise((resolve) => listener.close(resolve));
});

interface Seen {
  /** Writes that libuv finished by itself within the call, so that nothing waits, though the request is in use. */
  finishedLate: number;
  /** Writes with a request that another write still used: Node aborts the process. */
  usedTwice: number;
}

/** Watches the requests of the writes of a connection. */
function watch(handle: TcpHandle, seen: Seen): TcpHandle {
  return {
    get writeQueueSize() {
      return handle.writeQueueSize;
    },
    writeBuffer(request, bytes) {
      if (isInUse(request)) {
        seen.usedTwice += 1;
        return 0;
      }
      const status = handle.writeBuffer(request, bytes);
      if (isInUse(request) && handle.writeQueueSize === 0) seen.finishedLate += 1;
      return status;
    },
  };
}

function isRequest(value: object): value is { getAsyncId(): number } {
  return 'getAsyncId' in value && typeof value.getAsyncId === 'function';
}

function isInUse(request: object): boolean {
  return isRequest(request) && request.getAsyncId() !== -1;
}

test('no request serves two writes, also where a client reads so fast that libuv finishes one at once', async () => {
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  readers = spawn(process.execPath, ['-e', READER, String(boundAddress(listener).port)]);
  await eventually(() => connections.length === READERS, 'all clients are connected');
  const handles = connections.flatMap((connection) => tcpHandleOf(connection) ?? []);
  expect(handles).toHaveLength(READERS);
  // The class of requests is learned from a write of the stream.
  for (const connection of connections) connection.write(Buffer.from('-'));
  const seen: Seen = { finishedLate: 0, usedTwice: 0 };
  const busy = new Set<TcpHandle>();
  const watched = handles.map((handle) => watch(handle, seen));
  await eventually(async () => {
    for (let round = 0; round < 50; round++) {
      for (const handle of watched) {
        if (busy.has(handle)) continue;
        const left = writeAtOnce(handle, LARGE);
        if (left === null) continue;
        if (typeof left === 'string') throw new Error(`A write was ${left}`);
        busy.add(handle);
        left.written = () => busy.delete(handle);
      }
      await new Promise(setImmediate);
    }
    return seen.finishedLate >= 3;
  }, 'libuv has finished writes within the call');
  expect(seen.usedTwice).toBe(0);
}, 60_000);
