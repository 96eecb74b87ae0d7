/** The error with which `withTimeout` rejects when the time is over. */
export class TimeoutError extends Error {
  override readonly name = 'TimeoutError';
}

/**
 * Resolves to the result of `work`, or rejects with a TimeoutError when `work` takes longer than `milliseconds`. The
 * timeout aborts the signal that `work` gets; work that ignores the signal goes on, and its result is dropped.
 *
 * @param message the message of the TimeoutError
 */
export async function withTimeout<T>(
  milliseconds: number,
  message: string,
  work: (late: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  // The abort waits for one more turn of the event loop: work may have ended while this process was too busy to notice.
  const timer = setTimeout(() => setImmediate(() => late.abort(new TimeoutError(message))), milliseconds);
  const over = new Promise<never>((_, reject) =>
    // eslint-disable-next-line @typescript-eslint/consistent-type-assertions -- it is the TookTooLong above
    late.signal.addEventListener('abort', () => reject(late.signal.reason as Error), { once: true }),
  );
  try {
    return await Promise.race([work(late.signal), over]);
  } finally {
    clearTimeout(timer);
  }
}
