import { FleetFlagError } from '../../../core/errors.ts';

/** Waits for the metrics store. Throws SERVICE_UNAVAILABLE for whatever it rejects with. */
export async function storeAnswer<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const message = 'The metrics store does not answer; a retry is safe.';
    throw new FleetFlagError('SERVICE_UNAVAILABLE', message, { retryAfter: 2 }, { cause });
  }
}
