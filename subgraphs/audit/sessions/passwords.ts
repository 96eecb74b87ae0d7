/**
 * Hashing and checking of passwords: Argon2id, m=19456 KiB, t=2, p=1 (database.md, users; OWASP's first choice). Each
 * takes tens of milliseconds of a core and 19 MiB, off the main thread, so only a few run at once.
 */
import { randomInt } from 'node:crypto';
import { argon2id, hash, verify } from 'argon2';
import { BoundedSemaphore } from '../../../core/async/bounded-semaphore.ts';
import { FleetFlagError } from '../../../core/errors.ts';

const PARAMETERS = { type: argon2id, memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;

/** The limits of hashing in one process. */
export interface PasswordLimits {
  /** The most computations at once. */
  readonly running: number;
  /** The most computations that wait; one more is refused. */
  readonly waiting: number;
}

/** The load that one process can handle within about a second. */
const DEFAULT_LIMITS: PasswordLimits = { running: 2, waiting: 20 };

/** Hashes and checks passwords within the limits. */
export class Passwords {
  readonly #turns: BoundedSemaphore;

  private constructor(
    limits: PasswordLimits,
    /** The hash of a password that nobody has, which is checked when there is no account. */
    private readonly unusedHash: string,
  ) {
    const refusal = () =>
      new FleetFlagError('RATE_LIMITED', 'Too many passwords are being checked; try again in 1 s.', { retryAfter: 1 });
    this.#turns = new BoundedSemaphore({ ...limits, waitMs: Infinity }, refusal);
  }

  /** Creates the service. */
  static async create(limits: PasswordLimits = DEFAULT_LIMITS): Promise<Passwords> {
    return new Passwords(limits, await hashPassword(crypto.randomUUID()));
  }

  /**
   * Checks whether `password` matches `passwordHash`. With null (no such account) it gives false after the same work,
   * so that the duration reveals nothing.
   *
   * @throws RATE_LIMITED when too many computations are waiting
   */
  async matches(passwordHash: string | null, password: string): Promise<boolean> {
    return this.#turns.run(
      async () => (await verify(passwordHash ?? this.unusedHash, password)) && passwordHash !== null,
    );
  }

  /**
   * Hashes a password as `hashPassword` does, within the limits. Throws RATE_LIMITED when too many computations are
   * waiting.
   */
  hash(password: string): Promise<string> {
    return this.#turns.run(() => hashPassword(password));
  }
}

/** Gives the encoded hash (`$argon2id$v=19$m=19456,t=2,p=1$…`) of a new password, with a salt of its own. */
export function hashPassword(password: string): Promise<string> {
  return hash(password, PARAMETERS);
}

/** Letters and digits that look like no other in any typeface. */
const ALPHABET = 'abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789';

/** Generates a password: four groups of six characters, 138 bits, which can still be typed from a screen. */
export function generatePassword(): string {
  const group = () => Array.from({ length: 6 }, () => ALPHABET.charAt(randomInt(ALPHABET.length))).join('');
  return [group(), group(), group(), group()].join('-');
}
