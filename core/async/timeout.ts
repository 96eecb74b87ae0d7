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
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_, reject) => {
    const end = () => {
      const error = new TimeoutError(message);
      // Before the work is told: what it then rejects with is of no interest.
      reject(error);
      late.abort(error);
    };
    // A turn later, so that work that has ended while this process was busy counts as what it is.
    timer = setTimeout(() => setImmediate(end), timerDelay(timeoutMs));
  });
  try {
    return await Promise.race([work(late.signal), over]);
  } finally {
    clearTimeout(timer);
  }
}
