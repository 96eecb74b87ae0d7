/**
 * Schedules the nonces by which a vehicle requests proof of its partition. Each of them costs the control plane a read
 * of its database and a signature, so a relay that ends subscriptions or sends proofs of other partitions must gain few
 * of them. It lives as long as the agent. Source: docs/decisions/vehicle/bound-to-its-partition.md.
 */
import type { Backoff } from '../../core/async/backoff.ts';

/** The milliseconds between two nonces that nothing but a hint calls for. */
const HINT_INTERVAL_MS = 3_600_000;
/** The milliseconds over which that time is spread. */
const HINT_JITTER_MS = 600_000;
/** The milliseconds without a nonce after which the waits start from the beginning. */
const FORGOTTEN_AFTER_MS = 14_400_000;
/** The most milliseconds by which a refusal can delay a nonce: refusals are not signed, so anybody can make one. */
const LONGEST_REFUSAL_MS = 600_000;

/** The milliseconds by which a timer may end early. */
const TIMER_MS = 2;

/** The options of a pace. */
export interface AssignmentPaceOptions {
  /** The monotonic clock, in milliseconds. */
  readonly runningMs: () => number;
  /** A source of random numbers, uniform in [0, 1). */
  readonly random: () => number;
  /** Gives the waits between nonces that have not changed the partition. */
  readonly backoff: Backoff;
  /**
   * The milliseconds over which the vehicles of a model spread their nonces, when all get another partition at once.
   */
  readonly spreadMs: number;
}

/** Says when a vehicle may ask for its assignment. */
export class AssignmentPace {
  readonly #options: AssignmentPaceOptions;
  #wanted = false;
  #dueAtMs = Infinity;
  #notBeforeMs = -Infinity;
  #refusedUntilMs = -Infinity;
  #hintFromMs = -Infinity;
  #askedAtMs = -Infinity;

  constructor(options: AssignmentPaceOptions) {
    this.#options = options;
  }

  /**
   * Records a new link of a vehicle that has no assignment. It may ask at once: it can use nothing before, and the link
   * has cost the control plane as much already.
   */
  unassigned(): void {
    this.#wanted = true;
    this.#dueAtMs = Math.max(this.#options.runningMs(), this.#refusedUntilMs);
  }

  /**
   * Records a hint that the partition should be proven again: the gateway has ended the subscription, or proofs are
   * signed under another key than the assignment. Anybody on the way can bring that about, so it counts once an hour.
   */
  hint(): void {
    const { runningMs, random } = this.#options;
    const now = runningMs();
    if (now < this.#hintFromMs) return;
    this.#hintFromMs = now + HINT_INTERVAL_MS + random() * HINT_JITTER_MS;
    this.want();
  }

  /** Records that an authentic proof is of another partition than the one that is proven, or that none is. */
  want(): void {
    const { runningMs, random, spreadMs } = this.#options;
    if (this.#wanted) return;
    this.#wanted = true;
    this.#dueAtMs = Math.max(this.#notBeforeMs, this.#refusedUntilMs, runningMs() + random() * spreadMs);
  }

  /** The milliseconds until a nonce is due; infinite where none is wanted. */
  get waitMs(): number {
    if (!this.#wanted) return Infinity;
    const wait = this.#dueAtMs - this.#options.runningMs();
    // A timer may end a moment early, and must not find that it is not time yet.
    return wait < TIMER_MS ? 0 : wait;
  }

  /** Records that a nonce was sent. Without an answer that counts, the next follows after a growing wait. */
  asked(): void {
    const { runningMs, backoff } = this.#options;
    const now = runningMs();
    if (now - this.#askedAtMs > FORGOTTEN_AFTER_MS) backoff.reset();
    this.#askedAtMs = now;
    this.#notBeforeMs = this.#dueAtMs = now + backoff.nextWhole();
  }

  /** Records a refusal. `retryAfter` is the number of seconds that the control plane named. */
  refused(retryAfter: number | undefined): void {
    const { runningMs, random } = this.#options;
    if (retryAfter === undefined) return;
    const wait = Math.min(retryAfter * 1_000 * (1 + random()), LONGEST_REFUSAL_MS);
    this.#refusedUntilMs = this.#dueAtMs = runningMs() + wait;
  }

  /**
   * Records that an answer has proven the partition.
   *
   * @param changed whether it is another one than before: nobody without the key can make that happen
   */
  proven(changed: boolean): void {
    this.#wanted = false;
    this.#refusedUntilMs = -Infinity;
    if (!changed) return;
    this.#options.backoff.reset();
    this.#notBeforeMs = this.#hintFromMs = -Infinity;
  }
}
