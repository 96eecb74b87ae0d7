import { describe, expect, test } from '@jest/globals';
import { EventEmitter } from 'node:events';
import { workerEnd, type EndingWorker } from './worker-end.ts';

function worker(pid: number | undefined) {
  const emitter = new EventEmitter();
  return { emitter, ending: Object.assign(emitter, { process: { pid } }) as unknown as EndingWorker };
}

describe('the end of a worker', () => {
  test('is its exit, not a message that no longer reached it, nor a second one', async () => {
    const { emitter, ending } = worker(7);
    const end = workerEnd(ending);
    emitter.emit('error', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    emitter.emit('error', Object.assign(new Error('Channel closed'), { code: 'ERR_IPC_CHANNEL_CLOSED' }));
    emitter.emit('exit', null, 'SIGKILL');
    await expect(end).resolves.toBe('SIGKILL');
    // Messages that were sent before may fail even later.
    expect(() => emitter.emit('error', new Error('write EPIPE'))).not.toThrow();
  });

  test('is its exit code where no signal ended it', async () => {
    const { emitter, ending } = worker(7);
    const end = workerEnd(ending);
    emitter.emit('exit', 3, null);
    await expect(end).resolves.toBe('exit code 3');
  });

  test('is a rejection where it never started', async () => {
    const { emitter, ending } = worker(undefined);
    const end = workerEnd(ending);
    emitter.emit('error', new Error('spawn EAGAIN'));
    await expect(end).rejects.toThrow('EAGAIN');
  });
});
