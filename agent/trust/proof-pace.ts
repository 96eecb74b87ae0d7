/**
 * How far the proofs that answer this vehicle's own questions lag behind the control plane's time, as the newest of
 * them have shown it against a clock that nobody sets. Proofs that are played again, and those of a control plane that
 * cannot read its database, stand still; their flags would only be noticed as stale after days.
 */

/**
 * What is known of the control plane's time wears off: its clock may have been set back. Slower than time passes, so
 * that what stands still lags ever more.
 */
const WEAR = 0.25;

export class ProofPace {
  /**
   * Seconds by which the control plane's time is ahead of the clock that nobody sets, at least, as it was known at
   * `#atMs`.
   */
  #lead = -Infinity;
  #atMs = 0;

  /**
   * Seconds by which a proof is older than it can be for an answer to a question of `askedAtMs`, or 0. Later ones are
   * held against it.
   *
   * @param issuedAt Unix seconds
   * @param askedAtMs when the question was sent, and `nowMs` the present, in milliseconds by the clock that nobody sets
   */
  lagSeconds(issuedAt: number, askedAtMs: number, nowMs: number): number {
    const lead = this.#lead - (WEAR * (nowMs - this.#atMs)) / 1_000;
    // It was signed before it came; how long before, nobody knows.
    [this.#lead, this.#atMs] = [Math.max(issuedAt - nowMs / 1_000, lead), nowMs];
    return Math.max(0, lead + askedAtMs / 1_000 - issuedAt);
  }

  /** Forgets what was known: an answer that was signed for this vehicle alone has told the time. */
  forget(): void {
    this.#lead = -Infinity;
  }
}
