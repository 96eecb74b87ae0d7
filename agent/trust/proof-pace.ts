/**
 * Measures how far the proofs that answer this vehicle's requests lag behind the control plane's time, by comparing
 * their times with the monotonic clock. Replayed proofs stand still, and so do those of a control plane that cannot
 * read its database. Without this, they would only be noticed when flags go stale after days.
 */

/**
 * The rate at which the known lead is reduced, because the control plane's clock may have been set back. It is below 1,
 * so that proofs that stand still lag more and more.
 */
const WEAR = 0.25;

/** Measures the lag of proofs. */
export class ProofPace {
  /**
   * The least number of seconds by which the control plane's time is ahead of the monotonic clock, as known at `#atMs`.
   */
  #lead = -Infinity;
  #atMs = 0;

  /**
   * Gives the seconds by which a proof is too old for an answer to a request at `askedAtMs`, or 0. Later proofs are
   * compared with this one.
   *
   * @param issuedAt the Unix seconds of the proof
   * @param askedAtMs the milliseconds of the monotonic clock at the request
   * @param nowMs the present milliseconds of the monotonic clock
   */
  lagSeconds(issuedAt: number, askedAtMs: number, nowMs: number): number {
    const lead = this.#lead - (WEAR * (nowMs - this.#atMs)) / 1_000;
    // The proof was signed an unknown time before it arrived, so this is a lower bound.
    [this.#lead, this.#atMs] = [Math.max(issuedAt - nowMs / 1_000, lead), nowMs];
    return Math.max(0, lead + askedAtMs / 1_000 - issuedAt);
  }

  /** Forgets the known lead, after an answer that was signed for this vehicle alone has given the time. */
  forget(): void {
    this.#lead = -Infinity;
  }
}
