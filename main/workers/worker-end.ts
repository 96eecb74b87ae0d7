import type { Worker } from 'node:cluster';

/** What is needed of a worker to follow it to its end. */
export type EndingWorker = Pick<Worker, 'on' | 'once'> & { readonly process: { readonly pid?: number | undefined } };

/**
 * Resolves to how a worker ended: its signal or exit code. Rejects only where it could not be started.
 *
 * A message on its way to a worker that has just been killed is an `error` of the worker (EPIPE). It settles nothing,
 * because the end follows, and it is heard from here on: an `error` that nobody hears would end this process.
 */
export function endOf(worker: EndingWorker): Promise<string> {
  return new Promise((resolve, reject) => {
    worker.once('exit', (code: number | null, signal: string | null) => resolve(signal ?? `exit code ${code}`));
    worker.on('error', (error: Error) => {
      if (worker.process.pid === undefined) reject(error);
    });
  });
}
