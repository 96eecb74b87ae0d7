/**
 * Keeps guessing off the stores: an address that has shown many credentials that nobody has is refused before the next
 * one is looked up. Who has called with good credentials before is not touched, whatever else comes from the address.
 * For credentials that are looked up only: a vehicle's token costs no store anything.
 */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { FleetFlagError } from '../../core/errors.ts';

/** Different wrong credentials in a window. The same one again (a forgotten browser tab) is no guess. */
export const MAX_FAILURES = 30;
/** Milliseconds from an address' first failure. */
const WINDOW = 60_000;
const MAX_ADDRESSES = 5_000;
const MAX_GOOD = 20_000;

export class FailedCredentials {
  readonly #good = new LRUCache<string, true>({ max: MAX_GOOD });
  readonly #failed: LRUCache<string, Set<string>>;

  /** @param clock milliseconds, never backwards */
  constructor(clock: () => number = () => performance.now()) {
    this.#failed = new LRUCache({ max: MAX_ADDRESSES, ttl: WINDOW, perf: { now: clock }, ttlResolution: 0 });
  }

  /**
   * What `find` gives for a credential (null: nobody has it), or RATE_LIMITED without asking it. A `find` that rejects
   * says nothing about the credential.
   *
   * @param credential what tells it from others; only a part of its hash is kept
   */
  async lookUp<T>(address: string | null, credential: string, find: () => Promise<T | null>): Promise<T | null> {
    const from = address ?? '';
    const mark = createHash('sha256').update(credential).digest('base64url').slice(0, 16);
    if (!this.#good.has(mark) && (this.#failed.get(from)?.size ?? 0) >= MAX_FAILURES) {
      const retryAfter = Math.max(1, Math.ceil(this.#failed.getRemainingTTL(from) / 1_000));
      throw new FleetFlagError('RATE_LIMITED', 'Too many wrong credentials from this address.', { retryAfter });
    }
    const found = await find();
    if (found !== null) this.#good.set(mark, true);
    else {
      this.#good.delete(mark);
      this.#failed.set(from, (this.#failed.get(from) ?? new Set()).add(mark), { noUpdateTTL: true });
    }
    return found;
  }
}
