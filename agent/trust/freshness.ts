/**
 * Decides whether a proof makes the flags fresh, and when the vehicle has to send a nonce because the clocks cannot
 * show its age. It lives as long as the agent, so that reconnecting does not make a vehicle send nonces more often.
 */
import { randomBytes } from 'node:crypto';
import type { Backoff } from '../../core/async/backoff.ts';
import type { VerifiedProof } from '../state.ts';
import type { AgeingClock } from './ageing-clock.ts';
import { AssignmentPace } from './assignment-pace.ts';
import { ProofPace } from './proof-pace.ts';

/** The milliseconds after which an answer to a nonce no longer counts. */
const VOID_AFTER_MS = 60_000;
/**
 * The milliseconds after which an answer no longer assigns a partition: as long as the slowest answer may take
 * (link/gateway-link.ts), because a vehicle on a slow link must get its partition, too.
 */
const ASSIGNS_FOR_MS = 720_000;
/** The milliseconds between two nonces, unless the first was not answered. */
const INTERVAL_MS = 3_600_000;
/** The milliseconds over which nonces are spread: a whole fleet sends them when the control plane's clock is wrong. */
const JITTER_MS = 600_000;
/** The most milliseconds by which a refusal can delay a nonce: refusals are not signed, so anybody can make one. */
const LONGEST_REFUSAL_MS = 600_000;

/** The judgement of a proof's time. If it is `fresh`, the age of the flags counts from the proof. */
export type TimeJudgement = 'fresh' | 'not-newer' | 'out-of-time';

/** A nonce that was sent. */
interface Question {
  readonly nonce: string;
  readonly sentAtMs: number;
  /** Whether it asks for the time, too, and not for the partition alone. */
  readonly asksForTime: boolean;
  answeredInVain: boolean;
}

/** The options of the judge. */
export interface FreshnessOptions {
  readonly clock: AgeingClock;
  /** A source of random numbers, uniform in [0, 1). */
  readonly random: () => number;
  /** Gives the waits after a nonce that was not answered. */
  readonly unanswered: Backoff;
  /** Gives the waits between nonces that ask for the partition. */
  readonly reassignments: Backoff;
  /** The milliseconds over which vehicles that get another partition at once spread their nonces. */
  readonly assignmentSpreadMs: number;
}

/** Judges proofs by time and schedules nonces. */
export class Freshness {
  readonly #options: FreshnessOptions;
  /** The last nonce, with the milliseconds of the monotonic clock at which it was sent. */
  #question: Question | null = null;
  /** The milliseconds of the monotonic clock at which the next nonce is due; null where none is needed. */
  #dueAtMs: number | null = null;
  #notBeforeMs = -Infinity;
  #wanted = false;
  readonly #pace = new ProofPace();
  /** Says when the vehicle may ask for its partition. */
  readonly assignment: AssignmentPace;

  constructor(options: FreshnessOptions) {
    this.#options = options;
    const { clock, random, reassignments: backoff, assignmentSpreadMs: spreadMs } = options;
    this.assignment = new AssignmentPace({ runningMs: () => clock.runningMs, random, backoff, spreadMs });
  }

  /**
   * Judges the time of `proof`.
   *
   * @param newest the Unix seconds of the last proof that counted; 0 for none
   */
  judge(proof: VerifiedProof, newest: number): TimeJudgement {
    if (proof.nonce !== null && this.#answers(proof)) return 'fresh';
    // An assignment that came late over a slow link is as good as a proof without a nonce.
    const isLate = proof.nonce !== null && proof.vin !== null && this.isOpen(proof.nonce);
    if (proof.nonce !== null && !isLate) return 'out-of-time';
    if (!this.#options.clock.isNear(proof.issuedAt)) return 'out-of-time';
    return proof.issuedAt < newest ? 'not-newer' : 'fresh';
  }

  /** Adopts the time of a proof that was judged fresh and whose set is held. */
  accept(proof: VerifiedProof): void {
    const { clock, unanswered } = this.#options;
    this.#dueAtMs = null;
    this.#wanted = false;
    if (!this.#answers(proof)) return clock.contact(proof.issuedAt);
    // The proof was signed after the nonce was sent, so no more time than this has passed since.
    clock.answered(proof.issuedAt + (clock.runningMs - this.#question!.sentAtMs) / 1000);
    this.#question = null;
    unanswered.reset();
    this.#pace.forget();
  }

  /**
   * Gives the seconds by which `proof` is too old for an answer to a request at `askedAtMs` (milliseconds of the
   * monotonic clock); 0 where it can be one.
   */
  lagSeconds(proof: VerifiedProof, askedAtMs: number): number {
    return this.#pace.lagSeconds(proof.issuedAt, askedAtMs, this.#options.clock.runningMs);
  }

  /**
   * Records that the clocks cannot show the age of a proof, and schedules a nonce. Gives whether they could until now.
   *
   * @param urgent whether flags are stale, so that the usual jitter would be too long
   */
  want(urgent: boolean): boolean {
    const { clock, random } = this.#options;
    // The answer was lost, and would no longer count.
    if (this.#question !== null && !this.#counts) this.answeredInVain();
    const soonMs = Math.max(this.#notBeforeMs, clock.runningMs);
    this.#dueAtMs ??= Math.max(this.#notBeforeMs, clock.runningMs + random() * JITTER_MS);
    if (urgent) this.#dueAtMs = Math.min(this.#dueAtMs, soonMs);
    const first = !this.#wanted;
    this.#wanted = true;
    return first;
  }

  /** Whether the clocks could not show the age of a proof since the last one that counted. */
  get wanted(): boolean {
    return this.#wanted;
  }

  /** Whether a nonce is due. */
  get due(): boolean {
    return this.#dueAtMs !== null && this.#options.clock.runningMs >= this.#dueAtMs;
  }

  /**
   * Gives the nonce to send now: a new one where one is due, the last one while its answer would still count, and null
   * otherwise.
   *
   * @param assigns whether the answer can assign a partition
   */
  ask(assigns = true): string | null {
    const { clock, random } = this.#options;
    const { runningMs } = clock;
    const forAssignment = assigns && this.assignment.waitMs === 0;
    if (forAssignment) this.assignment.asked();
    const { due } = this;
    if (due || (forAssignment && !this.#counts))
      this.#question = {
        nonce: randomBytes(16).toString('base64url'),
        sentAtMs: runningMs,
        asksForTime: due,
        answeredInVain: false,
      };
    // A question for the partition has bounds of its own, and must not leave flags stale for the next hour.
    if (due) {
      this.#dueAtMs = null;
      this.#notBeforeMs = runningMs + INTERVAL_MS + random() * JITTER_MS;
    }
    return this.#counts ? this.#question!.nonce : null;
  }

  /** Records that the control plane knows no partitions, so that a question for the partition alone is void. */
  withdraw(): void {
    if (this.#question?.asksForTime === false) this.#question = null;
  }

  /** Records that the last nonce was refused. `retryAfter` is the number of seconds that the control plane named. */
  refused(retryAfter: number | undefined): void {
    const { random, unanswered } = this.#options;
    this.#question = null;
    this.assignment.refused(retryAfter);
    this.#dueIn(
      retryAfter === undefined
        ? unanswered.nextWhole()
        : Math.min(retryAfter * 1_000 * (1 + random()), LONGEST_REFUSAL_MS),
    );
  }

  /**
   * Records an answer that proves nothing, because it lacks the nonce or its set is not held. It does not use up the
   * interval, and the right answer may still come for as long as it would count.
   */
  answeredInVain(): void {
    if (this.#question === null) return;
    if (!this.#question.answeredInVain) this.#dueIn(this.#options.unanswered.nextWhole());
    this.#question.answeredInVain = true;
    if (!this.isOpen(this.#question.nonce)) this.#question = null;
  }

  /** Says whether `nonce` is that of the last request, whose answer may still assign a partition. */
  isOpen(nonce: string): boolean {
    const question = this.#question;
    return question?.nonce === nonce && this.#options.clock.runningMs - question.sentAtMs <= ASSIGNS_FOR_MS;
  }

  #dueIn(milliseconds: number): void {
    this.#notBeforeMs = this.#options.clock.runningMs + milliseconds;
    if (this.#wanted) this.#dueAtMs = this.#notBeforeMs;
  }

  #answers(proof: VerifiedProof): boolean {
    return this.#counts && proof.nonce === this.#question!.nonce;
  }

  /** Whether there is a nonce whose answer would still count. */
  get #counts(): boolean {
    return this.#question !== null && this.#options.clock.runningMs - this.#question.sentAtMs <= VOID_AFTER_MS;
  }
}
