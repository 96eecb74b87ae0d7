/** Closes many sockets over a while instead of at once, so that their clients do not all come back in one instant. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ClientConnection } from './client-connection.ts';

/** Milliseconds from one slice to the next. */
const STEP_MS = 50;

/**
 * Closes sockets in random order, slice by slice.
 *
 * @param milliseconds the longest time that it may take; few sockets take less: a millisecond for each
 * @param signal closes the rest at once when aborted
 * @returns when every socket has been sent its close frame
 */
export async function spreadClose(
  connections: readonly ClientConnection[],
  code: number,
  reason: string,
  milliseconds: number,
  signal?: AbortSignal,
): Promise<void> {
  const inRandomOrder = connections
    .map((connection) => ({ connection, at: Math.random() }))
    .sort((a, b) => a.at - b.at);
  const steps = Math.max(1, Math.ceil(Math.min(milliseconds, connections.length) / STEP_MS));
  const perStep = Math.ceil(inRandomOrder.length / steps);
  for (let from = 0; from < inRandomOrder.length; from += perStep) {
    if (from > 0 && signal?.aborted !== true) await delay(STEP_MS, undefined, { signal }).catch(() => undefined);
    for (const { connection } of inRandomOrder.slice(from, from + perStep)) connection.close(code, reason);
  }
}
