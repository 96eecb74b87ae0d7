/**
 * Decides whether a proof says that the flags are fresh, and when the vehicle has to ask with a nonce because the
 * clocks cannot tell. Lives as long as the agent: neither a lost connection nor a new one makes it ask more often.
 */
import { randomBytes } from 'node:crypto';
import type { Backoff } from '../link/backoff.ts';
import type { VerifiedProof } from '../state.ts';
import type { AgeingClock } from './ageing-clock.ts';
import { ProofPace } from './proof-pace.ts';

/** An answer that takes longer proves nothing. */
const VOID_AFTER_MS = 60_000;
/** Between two questions, unless the control plane has not answered the first. */
const INTERVAL_MS = 3_600_000;
/** A fleet whose control plane has a wrong clock does not ask at once. */
const JITTER_MS = 600_000;
/** The longest that a refusal can put a question off: nobody has signed it. */
const LONGEST_REFUSAL_MS = 600_000;

/** What a proof says about time. `fresh`: the age of the flags counts from it. */
export type Judgement = 'fresh' | 'not-newer' | 'out-of-time';

export interface FreshnessOptions {
  readonly clock: AgeingClock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Waits after a question that was not answered. */
  readonly unanswered: Backoff;
}

export class Freshness {
  readonly #options: FreshnessOptions;
  /** The last question, and when it was sent, by the clock that nobody sets. */
  #question: { readonly nonce: string; readonly sentAtMs: number; answeredInVain: boolean } | null = null;
  /** When the next question is to be asked; null where there is no reason for one. */
  #dueAtMs: number | null = null;
  #notBeforeMs = -Infinity;
  #wanted = false;
  readonly #pace = new ProofPace();

  constructor(options: FreshnessOptions) {
    this.#options = options;
  }

  /**
   * What `proof` says about time.
   *
   * @param newest when the last proof was issued that counted, in Unix seconds; 0 for none
   */
  judge(proof: VerifiedProof, newest: number): Judgement {
    if (proof.nonce !== null) return this.#answers(proof) ? 'fresh' : 'out-of-time';
    if (!this.#options.clock.isNear(proof.issuedAt)) return 'out-of-time';
    return proof.issuedAt < newest ? 'not-newer' : 'fresh';
  }

  /** Takes the time of a proof that was judged fresh, and whose set is held. */
  accept(proof: VerifiedProof): void {
    const { clock, unanswered } = this.#options;
    this.#dueAtMs = null;
    this.#wanted = false;
    if (proof.nonce === null) return clock.contact(proof.issuedAt);
    // It was signed after the question was sent: at most so much time has passed since.
    clock.answered(proof.issuedAt + (clock.runningMs - this.#question!.sentAtMs) / 1000);
    this.#question = null;
    unanswered.reset();
    this.#pace.forget();
  }

  /**
   * Seconds by which `proof` is older than it can be for an answer to what this vehicle asked at `askedAtMs`, by the
   * clock that nobody sets; 0 where nothing speaks against it.
   */
  lagSeconds(proof: VerifiedProof, askedAtMs: number): number {
    return this.#pace.lagSeconds(proof.issuedAt, askedAtMs, this.#options.clock.runningMs);
  }

  /**
   * The clocks do not tell. Gives whether they did until now.
   *
   * @param urgent whether flags are stale, so that a fleet's worth of jitter is too long
   */
  want(urgent: boolean): boolean {
    const { clock, random } = this.#options;
    // Its answer was lost, and is void by now.
    if (this.#question !== null && !this.#counts) this.answeredInVain();
    const soonMs = Math.max(this.#notBeforeMs, clock.runningMs);
    this.#dueAtMs ??= Math.max(this.#notBeforeMs, clock.runningMs + random() * JITTER_MS);
    if (urgent) this.#dueAtMs = Math.min(this.#dueAtMs, soonMs);
    const first = !this.#wanted;
    this.#wanted = true;
    return first;
  }

  /** Whether the clocks have not told since the last proof that counted. */
  get wanted(): boolean {
    return this.#wanted;
  }

  /** Whether a question is due. */
  get due(): boolean {
    return this.#dueAtMs !== null && this.#options.clock.runningMs >= this.#dueAtMs;
  }

  /**
   * The nonce to ask with now: a new one where a question is due, the last one while its answer still counts, else
   * null.
   */
  ask(): string | null {
    const { clock, random } = this.#options;
    const { runningMs } = clock;
    if (this.due) {
      this.#question = { nonce: randomBytes(16).toString('base64url'), sentAtMs: runningMs, answeredInVain: false };
      this.#dueAtMs = null;
      this.#notBeforeMs = runningMs + INTERVAL_MS + random() * JITTER_MS;
    }
    return this.#counts ? this.#question!.nonce : null;
  }

  /** The last question was refused. `retryAfter`: seconds after which the control plane wants to hear it again. */
  refused(retryAfter: number | undefined): void {
    const { random, unanswered } = this.#options;
    this.#question = null;
    this.#dueIn(
      retryAfter === undefined
        ? unanswered.nextWhole()
        : Math.min(retryAfter * 1_000 * (1 + random()), LONGEST_REFUSAL_MS),
    );
  }

  /**
   * What came in the place of an answer proves nothing: it does not carry the nonce, or its set is not held. That is no
   * answer, and does not use up the hour; the right one may still come for as long as it counts.
   */
  answeredInVain(): void {
    if (this.#question === null) return;
    if (!this.#question.answeredInVain) this.#dueIn(this.#options.unanswered.nextWhole());
    this.#question.answeredInVain = true;
    if (!this.#counts) this.#question = null;
  }

  #dueIn(milliseconds: number): void {
    this.#notBeforeMs = this.#options.clock.runningMs + milliseconds;
    if (this.#wanted) this.#dueAtMs = this.#notBeforeMs;
  }

  #answers(proof: VerifiedProof): boolean {
    return this.#counts && proof.nonce === this.#question!.nonce;
  }

  /** Whether there is a question whose answer would count. */
  get #counts(): boolean {
    return this.#question !== null && this.#options.clock.runningMs - this.#question.sentAtMs <= VOID_AFTER_MS;
  }
}
