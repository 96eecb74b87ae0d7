/**
 * Watches over the age of the flags while there is a connection: flags that go stale are worth a sync at once, and
 * where the clocks cannot tell how old a proof is, a question with a nonce is due at some time.
 */
import { isStale, type VehicleState, type VerifiedProof } from '../state.ts';
import type { AgeingClock } from '../trust/ageing-clock.ts';
import type { Freshness, Judgement } from '../trust/freshness.ts';
import { Refusal } from '../trust/refusals.ts';
import { lastContact } from './apply.ts';
import type { Backoff } from '../link/backoff.ts';

/**
 * Instances of a control plane may differ by seconds, and share answers for one: a proof that is older by this much is
 * worth no word.
 */
const SKEW_SECONDS = 60;

export interface AgeWatchOptions {
  readonly ageingClock: AgeingClock;
  readonly freshness: Freshness;
  readonly state: () => VehicleState;
  readonly refuse: (refusal: Refusal) => void;
  /**
   * Told, with each proof that was asked for and whose set is held, whether that is in touch with the control plane.
   */
  readonly touched: (inTouch: boolean) => void;
  /** Asks the control plane at once. */
  readonly sync: () => void;
  /** Waits between syncs for flags that stay stale. */
  readonly staleBackoff: Backoff;
  /** Milliseconds between two looks. */
  readonly staleCheckMs: number;
}

export class AgeWatch {
  readonly #options: AgeWatchOptions;
  #nextSyncAtMs = -Infinity;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: AgeWatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.#look(), this.#options.staleCheckMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /**
   * Takes what a proof, whose set is held, says about time.
   *
   * @param askedAtMs when this vehicle asked for it, by the clock that nobody sets; null where it came by itself
   */
  judged(proof: VerifiedProof, judgement: Judgement, askedAtMs: number | null): void {
    const { state, refuse, freshness, ageingClock, sync, touched } = this.#options;
    const isOld = judgement === 'not-newer' && proof.issuedAt < lastContact(state()) - SKEW_SECONDS;
    if (isOld) refuse(new Refusal('proof-not-newer', `a proof of ${isoTime(proof.issuedAt)}`));
    if (askedAtMs !== null) {
      const lags = judgement !== 'out-of-time' && freshness.lagSeconds(proof, askedAtMs) > SKEW_SECONDS;
      if (lags && !isOld) refuse(new Refusal('no-fresh-proof', `a proof of ${isoTime(proof.issuedAt)}`));
      touched(!lags);
    }
    if (judgement !== 'out-of-time') return;
    // Said once, and not with every proof until the question is answered.
    if (freshness.want(this.#stale))
      refuse(
        new Refusal(
          'proof-out-of-time',
          `a proof of ${isoTime(proof.issuedAt)}, where this vehicle has ${isoTime(ageingClock.seconds())},`,
        ),
      );
    if (freshness.due) sync();
  }

  #look(): void {
    const { freshness, staleBackoff, sync } = this.#options;
    const now = performance.now();
    const stale = this.#stale;
    if (!stale) {
      staleBackoff.reset();
      this.#nextSyncAtMs = -Infinity;
    } else if (now >= this.#nextSyncAtMs) {
      this.#nextSyncAtMs = now + staleBackoff.nextWhole();
      sync();
    }
    if (freshness.wanted) freshness.want(stale);
    if (freshness.due) sync();
  }

  get #stale(): boolean {
    const { state, ageingClock } = this.#options;
    const seconds = ageingClock.seconds();
    for (const flag of state().flags.values()) if (isStale(flag, seconds)) return true;
    return false;
  }
}

function isoTime(seconds: number): string {
  return new Date(seconds * 1_000).toISOString();
}
