/**
 * Limits what syncs with a nonce cost this instance. Each needs a signature of its own, so a fleet whose clocks are
 * wrong (or a control plane's wrong clock) must not cause endless signing. Refused callers receive a `retryAfter`, each
 * a little later than the one before, so that a fleet does not return at once.
 */
import type { LRUCache } from 'lru-cache';
import { boundedCache } from '../../../core/bounded-cache.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import type { Caller } from '../../../core/access/caller.ts';

/** The limits of one instance. */
export interface NonceLimits {
  /** Nonces that this instance answers a second in the long run. */
  readonly perSecond: number;
  /** Nonces that it answers at once after a quiet time. */
  readonly burst: number;
  /** Nonces that one vehicle, person or API key may use in `callerWindowSeconds`. */
  readonly perCaller: number;
  readonly callerWindowSeconds: number;
}

/** The default limits. */
export const NONCE_LIMITS: NonceLimits = { perSecond: 50, burst: 50, perCaller: 10, callerWindowSeconds: 60 };

/** The highest `retryAfter` in seconds. Agents that receive none also spread their retries over ten minutes. */
const MAX_WAIT_SECONDS = 600;
/** The most callers that are counted. One that is evicted starts again, within the instance's own limit. */
const MAX_CALLERS = 20_000;

function callerKey(caller: Caller): string {
  switch (caller.kind) {
    case 'vehicle':
      return `vehicle:${caller.vin}`;
    case 'user':
      return `user:${caller.userId}`;
    case 'apiKey':
      return `key:${caller.apiKeyId}`;
    case 'anonymous':
    case 'gateway':
      return caller.kind;
  }
}

/** Admits syncs with a nonce, or refuses them. */
export class NonceAdmission {
  readonly #callers: LRUCache<string, { count: number; readonly endsAt: number }>;
  /** Nonces that may be answered now, as of `#filledAt`. */
  #room: number;
  #filledAt: number;
  /** The time when the last of the refused callers will return. */
  #lastTurn = -Infinity;

  /**
   * @param now milliseconds by a monotonic clock
   * @param random uniform in [0, 1)
   */
  constructor(
    private readonly limits: NonceLimits = NONCE_LIMITS,
    private readonly now: () => number = () => performance.now(),
    private readonly random: () => number = Math.random,
  ) {
    this.#callers = boundedCache(MAX_CALLERS);
    this.#room = limits.burst;
    this.#filledAt = now();
  }

  /** Admits one request of `caller`, or throws RATE_LIMITED with `retryAfter` (seconds). */
  admit(caller: Caller): void {
    const now = this.now();
    const key = callerKey(caller);
    const before = this.#callers.get(key);
    const window =
      before !== undefined && before.endsAt > now
        ? before
        : { count: 0, endsAt: now + this.limits.callerWindowSeconds * 1_000 };
    if (window.count >= this.limits.perCaller) {
      throw refusal('This caller has sent too many nonces; try again later.', (window.endsAt - now) / 1_000);
    }
    this.#takeRoom(now);
    window.count += 1;
    this.#callers.set(key, window);
  }

  #takeRoom(now: number): void {
    const { perSecond, burst } = this.limits;
    this.#room = Math.min(burst, this.#room + ((now - this.#filledAt) / 1_000) * perSecond);
    this.#filledAt = now;
    if (this.#room >= 1) {
      this.#room -= 1;
      return;
    }
    this.#lastTurn = Math.min(Math.max(this.#lastTurn, now) + 1_000 / perSecond, now + MAX_WAIT_SECONDS * 1_000);
    const wait = (this.#lastTurn - now) / 1_000;
    // More callers than can be answered by then: they are spread over the rest, or all of them would return at its end.
    throw refusal(
      'Too many vehicles are sending nonces; try again later.',
      wait < MAX_WAIT_SECONDS ? wait : MAX_WAIT_SECONDS * (0.5 + this.random() / 2),
    );
  }
}

function refusal(message: string, seconds: number): FleetFlagError {
  return new FleetFlagError('RATE_LIMITED', message, { retryAfter: Math.max(1, Math.ceil(seconds)) });
}
