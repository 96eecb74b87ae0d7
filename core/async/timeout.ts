import { timerDelay } from './timer-delay.ts';

/** What `withTimeout` rejects with when the time is over. */
export class TimeoutError extends Error {
  override readonly name = 'TimeoutError';
}

/**
 * The result of `work`, or a rejection with a TimeoutError when it is not there in time. The work is told by its
 * signal, and may go on all the same: what it holds is held until it ends. (Where one `fetch` is all that is waited for,
 * `AbortSignal.timeout` does.)
 *
 * @param timeoutMs milliseconds
 * @param message of the TimeoutError
 */
export async function withTimeout<T>(
  timeoutMs: number,
  message: string,
  work: (late: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  // A turn later, so that work that has ended while this process was busy counts as what it is.
  const timer = setTimeout(() => setImmediate(() => late.abort(new TimeoutError(message))), timerDelay(timeoutMs));
  const over = new Promise<never>((_, reject) =>
    late.signal.addEventListener('abort', () => reject(late.signal.reason as Error), { once: true }),
  );
  try {
    return await Promise.race([work(late.signal), over]);
  } finally {
    clearTimeout(timer);
  }
}
