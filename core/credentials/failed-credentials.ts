/**
 * Limits guessing of credentials. An address that has sent many unknown credentials is refused before the next one is
 * looked up. Credentials that were valid before are not affected, whatever else comes from their address. The limit is
 * only for credentials that are looked up; a vehicle's token costs no store anything.
 */
import type { LRUCache } from 'lru-cache';
import { boundedCache } from '../bounded-cache.ts';
import { FleetFlagError } from '../errors.ts';

/** The different wrong credentials that a window allows. Repeating one (a forgotten browser tab) is not guessing. */
export const MAX_FAILURES = 30;
/** The length of a window in milliseconds, from an address' first failure. */
const WINDOW_MS = 60_000;
const MAX_ADDRESSES = 5_000;
const MAX_GOOD = 20_000;
/** The number of characters of a credential's key that are kept: 96 bits or more of its hash, even after a prefix. */
const MARK_LENGTH = 24;

/** Counts wrong credentials by address. */
export class FailedCredentials {
  readonly #good = boundedCache<string, true>(MAX_GOOD);
  readonly #failed: LRUCache<string, Set<string>>;

  /** @param clock a monotonic clock, in milliseconds */
  constructor(clock: () => number = () => performance.now()) {
    this.#failed = boundedCache(MAX_ADDRESSES, { ttl: WINDOW_MS, perf: { now: clock }, ttlResolution: 0 });
  }

  /**
   * Looks a credential up by `find`, which gives null for an unknown one. Rejects with RATE_LIMITED, without calling
   * `find`, where the address is over the limit. A `find` that rejects does not count.
   *
   * @param hash the hash of the credential, or what it is looked up by; only a part of it is kept
   */
  async lookUp<T>(address: string | null, hash: string, find: () => Promise<T | null>): Promise<T | null> {
    const from = address ?? '';
    const mark = hash.slice(0, MARK_LENGTH);
    if (!this.#good.has(mark) && (this.#failed.get(from)?.size ?? 0) >= MAX_FAILURES) {
      const retryAfter = Math.max(1, Math.ceil(this.#failed.getRemainingTTL(from) / 1_000));
      throw new FleetFlagError('RATE_LIMITED', 'Too many wrong credentials from this address; try again later.', {
        retryAfter,
      });
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
