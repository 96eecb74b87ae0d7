/**
 * Hashing and checking passwords: Argon2id, m=19456 KiB, t=2, p=1 (database.md, users; OWASP's first choice). Each
 * takes tens of milliseconds of a core and 19 MiB, off the main thread, so only a few run at once.
 */
import { randomInt } from 'node:crypto';
import { argon2id, hash, verify } from 'argon2';
import { BoundedSemaphore } from '../../../core/async/bounded-semaphore.ts';
import { FleetFlagError } from '../../../core/errors.ts';

const PARAMETERS = { type: argon2id, memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;

export interface PasswordLimits {
  /** Computations at once. */
  readonly running: number;
  /** Computations that may wait for their turn; one more is refused. */
  readonly waiting: number;
}

/** What one process can do within about a second. */
const DEFAULT_LIMITS: PasswordLimits = { running: 2, waiting: 20 };

export class Passwords {
  readonly #turns: BoundedSemaphore;

  private constructor(
    limits: PasswordLimits,
    /** The hash of a password that nobody has: what is checked where there is no account. */
    private readonly nobodys: string,
  ) {
    const refusal = () =>
      new FleetFlagError('RATE_LIMITED', 'Too many passwords at once; try again in a second.', { retryAfter: 1 });
    this.#turns = new BoundedSemaphore({ ...limits, waitMs: Infinity }, refusal);
  }

  static async create(limits: PasswordLimits = DEFAULT_LIMITS): Promise<Passwords> {
    return new Passwords(limits, await hashPassword(crypto.randomUUID()));
  }

  /**
   * Whether `password` is the one of `passwordHash`. With null (no such account) false, after the same work, so that
   * the time tells nothing.
   *
   * @throws RATE_LIMITED when too many are waiting already
   */
  async matches(passwordHash: string | null, password: string): Promise<boolean> {
    return this.#turns.run(async () => (await verify(passwordHash ?? this.nobodys, password)) && passwordHash !== null);
  }

  /** As `hashPassword`, when there is room. Throws RATE_LIMITED when too many are waiting already. */
  hash(password: string): Promise<string> {
    return this.#turns.run(() => hashPassword(password));
  }
}

/** The encoded hash (`$argon2id$v=19$m=19456,t=2,p=1$…`) of a new password, with a salt of its own. */
export function hashPassword(password: string): Promise<string> {
  return hash(password, PARAMETERS);
}

/** Letters and digits that look like no other in any typeface. */
const ALPHABET = 'abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789';

/** A new password. Four groups of six: 138 bits, and can still be typed from a screen. */
export function generatePassword(): string {
  const group = () => Array.from({ length: 6 }, () => ALPHABET.charAt(randomInt(ALPHABET.length))).join('');
  return [group(), group(), group(), group()].join('-');
}
