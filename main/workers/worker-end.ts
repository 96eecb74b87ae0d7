import type { Worker } from 'node:cluster';

/** The part of a worker that is needed to follow it to its end. */
export type EndingWorker = Pick<Worker, 'on' | 'once'> & { readonly process: { readonly pid?: number | undefined } };

/**
 * Resolves to how a worker ended: its signal or exit code. Rejects only where it could not be started.
 *
 * A message on its way to a worker that has just been killed causes an `error` of the worker (EPIPE). It settles
 * nothing, because the exit follows. The listener stays all the same: an `error` without one would end this process.
 */
export function workerEnd(worker: EndingWorker): Promise<string> {
  return new Promise((resolve, reject) => {
    worker.once('exit', (code: number | null, signal: string | null) => resolve(signal ?? `exit code ${code}`));
    worker.on('error', (error: Error) => {
      if (worker.process.pid === undefined) reject(error);
    });
  });
}
