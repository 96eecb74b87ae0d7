/** What `withTimeout` rejects with when the time is over. */
export class TimeoutError extends Error {
  override readonly name = 'TimeoutError';
}

/**
 * The result of `work`, or a rejection with TimeoutError when it is not there within `milliseconds`. The work is told by
 * its signal, and may go on all the same.
 */
export async function withTimeout<T>(
  milliseconds: number,
  message: string,
  work: (late: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  // A turn later, so that work that has ended while this process was busy counts as what it is.
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
