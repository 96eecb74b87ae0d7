/**
 * The time by which flags age: never behind what it was, until a verified contact. A clock that is set back, or that
 * starts in 1970 whenever the battery was off, does not make old flags young; while the process runs, the time that
 * passes counts whatever the clock says.
 */
export class AgeingClock {
  #latest = 0;
  #runningAt: number;

  /**
   * @param now milliseconds since 1970, by the vehicle's clock
   * @param running milliseconds since some moment, by a clock that nobody sets
   */
  constructor(
    private readonly now: () => number,
    private readonly running: () => number = () => performance.now(),
  ) {
    this.#runningAt = running();
  }

  /** Unix seconds, rounded down. */
  seconds(): number {
    const running = this.running();
    this.#latest = Math.max(this.now() / 1000, this.#latest + (running - this.#runningAt) / 1000);
    this.#runningAt = running;
    return Math.floor(this.#latest);
  }

  /** Goes on from a time that was kept, where the clock is behind it. `seconds`: Unix seconds. */
  resumeAt(seconds: number): void {
    this.#latest = Math.max(this.#latest, seconds);
  }

  /** Takes the vehicle's clock as it is: a new statement tells how old the flags are, whatever the clock said before. */
  restart(): void {
    this.#latest = 0;
    this.seconds();
  }
}
