/**
 * A reading of a clock that is shared within one synchronous run of the program, which lasts until the program returns
 * to the event loop or awaits something. A program in the vehicle may evaluate thousands of flags in one run, and
 * reading a clock takes as long as several evaluations.
 */
export class SharedReading {
  #value = 0;
  #isKnown = false;
  readonly #forget = () => this.forget();

  /** @param read gives the clock's time */
  constructor(private readonly read: () => number) {}

  /** Gives the time, which is the same in all of this run. */
  get(): number {
    if (!this.#isKnown) {
      this.#value = this.read();
      this.#isKnown = true;
      process.nextTick(this.#forget);
    }
    return this.#value;
  }

  /** Reads the clock again at the next call, because it was set. */
  forget(): void {
    this.#isKnown = false;
  }
}
