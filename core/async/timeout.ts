import { timerDelay } from './timer-delay.ts';

/** The error of `withTimeout`. */
export class TimeoutError extends Error {
  override readonly name = 'TimeoutError';
}

/**
 * Gives the result of `work`, or rejects with a TimeoutError when there is none after `timeoutMs`. The signal of `work`
 * is then aborted. Work that ignores its signal goes on, and holds what it has acquired until it ends. For a single
 * `fetch`, `AbortSignal.timeout` is enough.
 *
 * @param timeoutMs milliseconds
 * @param message the message of the TimeoutError
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
      // This comes before the abort, because the error with which the work then rejects is of no interest.
      reject(error);
      late.abort(error);
    };
    // It ends a turn later, so that work that ended while this process was busy still counts.
    timer = setTimeout(() => setImmediate(end), timerDelay(timeoutMs));
  });
  try {
    return await Promise.race([work(late.signal), over]);
  } finally {
    clearTimeout(timer);
  }
}
