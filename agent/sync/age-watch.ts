/**
 * Watches the age of the flags while there is a connection. It starts a sync at once when flags go stale, and one
 * with a nonce when the clocks cannot show how old a proof is.
 */
import { Poller } from '../../core/async/poller.ts';
import { unattended } from '../../core/last-handler/unattended.ts';
import { isStale, type VehicleState, type VerifiedProof } from '../state.ts';
import type { AgeingClock } from '../trust/ageing-clock.ts';
import type { Freshness, TimeJudgement } from '../trust/freshness.ts';
import { Refusal } from '../trust/refusals.ts';
import { lastContact } from './apply.ts';
import type { Backoff } from '../../core/async/backoff.ts';

/**
 * The seconds by which a proof may be too old without being reported: clocks of a control plane's instances may differ,
 * and they share answers for a second.
 */
const SKEW_SECONDS = 60;

/** The options of a watch. */
export interface AgeWatchOptions {
  readonly ageingClock: AgeingClock;
  readonly freshness: Freshness;
  readonly state: () => VehicleState;
  readonly refuse: (refusal: Refusal) => void;
  /**
   * Called for each requested proof whose set the vehicle holds, with whether that proves contact to the control plane.
   */
  readonly touched: (inTouch: boolean) => void;
  /** Starts a sync at once. */
  readonly sync: () => void;
  /** Gives the waits between syncs for flags that stay stale. */
  readonly staleBackoff: Backoff;
  /** Milliseconds between two polls of the flags' age. */
  readonly staleCheckMs: number;
}

/** Checks the age of the flags while a link lasts. */
export class AgeWatch {
  readonly #options: AgeWatchOptions;
  #nextSyncAtMs = -Infinity;
  readonly #poller: Poller;

  constructor(options: AgeWatchOptions) {
    this.#options = options;
    this.#poller = Poller.every(options.staleCheckMs, () => this.#poll());
  }

  start(): void {
    unattended(this.#poller.start(this.#options.staleCheckMs), 'Watching over the age of flags');
  }

  stop(): void {
    unattended(this.#poller.close(), 'Watching over the age of flags');
  }

  /**
   * Processes what a proof, whose set the vehicle holds, says about time.
   *
   * @param askedAtMs the milliseconds of the monotonic clock at which this vehicle requested it; null where it came
   *   unrequested
   */
  judged(proof: VerifiedProof, judgement: TimeJudgement, askedAtMs: number | null): void {
    const { state, refuse, freshness, ageingClock, sync, touched } = this.#options;
    const isOld = judgement === 'not-newer' && proof.issuedAt < lastContact(state()) - SKEW_SECONDS;
    if (isOld) refuse(new Refusal('proof-not-newer', `a proof of ${isoTime(proof.issuedAt)}`));
    if (askedAtMs !== null) {
      const lags = judgement !== 'out-of-time' && freshness.lagSeconds(proof, askedAtMs) > SKEW_SECONDS;
      if (lags && !isOld) refuse(new Refusal('no-fresh-proof', `a proof of ${isoTime(proof.issuedAt)}`));
      touched(!lags);
    }
    if (judgement !== 'out-of-time') return;
    // This is reported once, and not with every proof until the request is answered.
    if (freshness.want(this.#stale))
      refuse(
        new Refusal(
          'proof-out-of-time',
          `a proof of ${isoTime(proof.issuedAt)}, while this vehicle's clock says ${isoTime(ageingClock.seconds())},`,
        ),
      );
    if (freshness.due) sync();
  }

  #poll(): void {
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
