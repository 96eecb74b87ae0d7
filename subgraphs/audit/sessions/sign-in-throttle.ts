/**
 * Limits on guessing passwords. Attempts are counted by account and by address before the password is checked, for
 * unknown e-mails as for known ones, so that a refusal reveals nothing. Numbers: docs/guides/accounts.md.
 */
import { createHash } from 'node:crypto';
import ipaddr from 'ipaddr.js';
import { FleetFlagError } from '../../../core/errors.ts';
import type { RateLimiter } from '../../../core/access/rate-limiter.ts';
import type { KeyValueStore } from '../../shared/stores/key-value-store.ts';

/** The most failures within a window, and what counts as a known address. */
export const SIGN_IN_LIMITS = {
  /** Failures on one account, from all unknown addresses together (those from which it has not signed in). */
  account: 10,
  /** Failures on one account from one address from which it has signed in. */
  knownAddress: 10,
  /** Failures from one address, on all accounts that have not signed in from it. */
  address: 50,
  windowSeconds: 15 * 60,
  /** Seconds for which an account's address is known after a sign-in. */
  knownSeconds: 30 * 24 * 3600,
} as const;

/**
 * One attempt, which counts as a failure until it is settled otherwise. Neither method rejects: a count that is too
 * high by one is no reason to refuse a right password.
 */
export interface SignInAttempt {
  /** Settles a right password: the account's failures are reset, and the address becomes known. */
  succeeded(): Promise<void>;
  /** Settles an attempt whose password was not checked. */
  takeBack(): Promise<void>;
}

type Counter = readonly [key: string, limit: number];

/** Counts and limits attempts to sign in. */
export class SignInThrottle {
  constructor(
    private readonly limiter: RateLimiter,
    private readonly store: KeyValueStore,
  ) {}

  /**
   * Counts one attempt. An address from which the account has signed in lately has a counter of its own, so that nobody
   * elsewhere can lock a person out of their account.
   *
   * @param email normalised, whether or not it has an account
   * @param ipAddress null when it is unknown: such attempts share the account's counter
   * @throws RATE_LIMITED with the seconds to wait; SERVICE_UNAVAILABLE while the store is down
   */
  async attempt(email: string, ipAddress: string | null): Promise<SignInAttempt> {
    const place = placeOf(ipAddress);
    const pair = digest(`${email}\n${place}`);
    const known = `sign-in-known:${pair}`;
    const remember = () =>
      place === null ? Promise.resolve() : this.store.set(known, '1', SIGN_IN_LIMITS.knownSeconds);

    const isKnown = place !== null && (await this.store.get(known)) !== null;
    const ofAccount: Counter = isKnown
      ? [`sign-in:known:${pair}`, SIGN_IN_LIMITS.knownAddress]
      : [`sign-in:account:${digest(email)}`, SIGN_IN_LIMITS.account];
    const ofAddress: Counter | null =
      isKnown || place === null ? null : [`sign-in:address:${digest(place)}`, SIGN_IN_LIMITS.address];

    // The address is counted first: one that has used up its limit must not use up the account's as well.
    if (ofAddress !== null) await this.#count(ofAddress);
    await this.#count(ofAccount);
    // Frees only this attempt and not the address's count: otherwise a sign-in to one's own account would reset the
    // count of guesses at others.
    const freeAddress = async () => {
      if (ofAddress !== null) await this.limiter.giveBack(ofAddress[0], SIGN_IN_LIMITS.windowSeconds);
    };
    return {
      succeeded: async () => {
        await Promise.allSettled([
          this.limiter.reset(ofAccount[0], SIGN_IN_LIMITS.windowSeconds),
          freeAddress(),
          remember(),
        ]);
      },
      takeBack: async () => {
        await Promise.allSettled([this.limiter.giveBack(ofAccount[0], SIGN_IN_LIMITS.windowSeconds), freeAddress()]);
      },
    };
  }

  async #count([key, limit]: Counter): Promise<void> {
    const { allowed, resetSeconds } = await this.limiter.consume(key, limit, SIGN_IN_LIMITS.windowSeconds);
    if (!allowed)
      throw new FleetFlagError('RATE_LIMITED', `Too many failed sign-ins; try again in ${resetSeconds} s.`, {
        retryAfter: resetSeconds,
      });
  }
}

/**
 * Gives the counter's address. An owner of an IPv6 address has the 2^64 of its network (RFC 6177), so those count as
 * one.
 */
function placeOf(ipAddress: string | null): string | null {
  const [bare = ''] = (ipAddress ?? '').split('%');
  if (!ipaddr.isValid(bare)) return null;
  // An IPv4-mapped IPv6 address counts as the IPv4 address.
  const address = ipaddr.process(bare);
  return address.kind() === 'ipv4'
    ? address.toString()
    : Buffer.from(address.toByteArray().slice(0, 8)).toString('hex');
}

/** Keys contain digests and no e-mail or address, so that readers of the store do not see who signs in from where. */
function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
