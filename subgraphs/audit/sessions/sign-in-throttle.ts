/**
 * How fast passwords can be tried. Guesses are counted by account and by address before the password is looked at,
 * for e-mails that nobody has as for others, so that a refusal tells nothing. Numbers: docs/guides/accounts.md.
 */
import { createHash } from 'node:crypto';
import ipaddr from 'ipaddr.js';
import { FleetFlagError } from '../../../core/errors.ts';
import type { RateLimiter } from '../../../core/access/rate-limiter.ts';
import type { KeyValueStore } from '../../shared/stores/key-value-store.ts';

export const SIGN_IN_LIMITS = {
  /** Failures on one account, from all addresses together that it has not signed in from. */
  account: 10,
  /** Failures on one account from one address that it has signed in from. */
  knownAddress: 10,
  /** Failures from one address, on all accounts that have not signed in from it. */
  address: 50,
  windowSeconds: 15 * 60,
  /** How long an account's address is known after a sign-in. */
  knownSeconds: 30 * 24 * 3600,
} as const;

/**
 * One try of a password, counted as a failure until it is said to be something else. Neither rejects: that a count is
 * too high by one is no reason to refuse who has given the right password.
 */
export interface SignInAttempt {
  /** The password was right: the account's failures are forgotten, and the address is known. */
  succeeded(): Promise<void>;
  /** The password was not looked at. */
  takeBack(): Promise<void>;
}

type Counter = readonly [key: string, limit: number];

export class SignInThrottle {
  constructor(
    private readonly limiter: RateLimiter,
    private readonly store: KeyValueStore,
  ) {}

  /**
   * Counts one try of a password. An address from which the account has signed in lately has a counter of its own:
   * nobody elsewhere can lock somebody out of their account.
   *
   * @param email normalised, whether or not it has an account
   * @param ipAddress null where it is not known: such tries share the account's counter
   * @throws RATE_LIMITED with the seconds to wait; SERVICE_UNAVAILABLE while the cache is away
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

    // The address first: one that has had its share does not use up the account's as well.
    if (ofAddress !== null) await this.#count(ofAddress);
    await this.#count(ofAccount);
    // Only this try, not all of the address: guessing at others would begin anew with each sign-in to an account of
    // one's own.
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
      throw new FleetFlagError('RATE_LIMITED', `Too many failed sign-ins; try again in ${resetSeconds} seconds.`, {
        retryAfter: resetSeconds,
      });
  }
}

/** Who has an IPv6 address has the 2^64 of its network (RFC 6177), so those count as one. */
function placeOf(ipAddress: string | null): string | null {
  const [bare = ''] = (ipAddress ?? '').split('%');
  if (!ipaddr.isValid(bare)) return null;
  // An IPv4 address in IPv6's clothes is the IPv4 address.
  const address = ipaddr.process(bare);
  return address.kind() === 'ipv4'
    ? address.toString()
    : Buffer.from(address.toByteArray().slice(0, 8)).toString('hex');
}

/** Keys hold no e-mail and no address: whoever sees the cache does not see who signs in from where. */
function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
