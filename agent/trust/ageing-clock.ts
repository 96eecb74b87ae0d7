/**
 * The time by which flags age: the control plane's, as well as the vehicle can tell it. It never goes back but at a
 * verified contact. A clock that is set back, or that starts in 1970 whenever the battery was off, does not make old
 * flags young; while the process runs, the time that passes counts whatever the clock says; and a clock that is known
 * to be wrong by years counts from there.
 */
const DAY_SECONDS = 86_400;
/** No vehicle's clock is slow by this much and then, by chance, right without having been set. */
const LARGE_OFFSET_SECONDS = 30 * DAY_SECONDS;

/** What is kept over a start. */
export interface KeptTime {
  /** Unix seconds by which flags age. */
  readonly latest: number;
  /** Seconds to add to the vehicle's clock. */
  readonly offset: number;
  /** Whether a contact has told the offset, rather than that the clock went back. */
  readonly measured: boolean;
}

export class AgeingClock {
  #latest = -Infinity;
  #offset = 0;
  #measured = false;
  #runningAt: number;
  /** Of the last contact; null before the first since the start. */
  #difference: number | null = null;

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
    return Math.floor(this.#read());
  }

  /**
   * The control plane's clock less the vehicle's, in whole seconds, at the last contact since the start; null before.
   */
  get differenceSeconds(): number | null {
    return this.#difference === null ? null : Math.round(this.#difference);
  }

  /** Milliseconds, by the clock that nobody sets. */
  get runningMs(): number {
    return this.running();
  }

  /** Goes on from a time that was kept, where the clock is behind it. `seconds`: Unix seconds. */
  resumeAt(seconds: number): void {
    this.#read();
    this.#latest = Math.max(this.#latest, seconds);
  }

  /** Goes on from what was kept. */
  resume({ latest, offset, measured }: KeptTime): void {
    this.#runningAt = this.running();
    [this.#latest, this.#offset, this.#measured] = [latest, offset, measured];
    this.#read();
  }

  keep(): KeptTime {
    return { latest: Math.floor(this.#read()), offset: Math.round(this.#offset), measured: this.#measured };
  }

  /**
   * Whether what was signed at `issuedAt` (Unix seconds) was signed within a day of now. The vehicle's own clock has no
   * say beside this one: set back to the time of a recording, it would make old flags young.
   */
  isNear(issuedAt: number): boolean {
    return Math.abs(this.#read() - issuedAt) <= DAY_SECONDS;
  }

  /** A verified contact: what was signed at `issuedAt`, which is near, was fresh by this vehicle's time. */
  contact(issuedAt: number): void {
    this.#setTo(Math.max(this.#read(), issuedAt), issuedAt - this.now() / 1000);
  }

  /** An answer to this vehicle's own question: it is `seconds` (Unix) now, whatever any clock says. */
  answered(seconds: number): void {
    this.#setTo(seconds, seconds - this.now() / 1000);
  }

  #setTo(seconds: number, difference: number): void {
    this.#difference = difference;
    const offset = seconds - this.now() / 1000;
    this.#runningAt = this.running();
    this.#latest = seconds;
    this.#offset = Math.abs(offset) <= DAY_SECONDS ? 0 : offset;
    this.#measured = true;
  }

  #read(): number {
    const running = this.running();
    const passed = (running - this.#runningAt) / 1000;
    this.#runningAt = running;
    const least = this.#latest + passed;
    const clock = this.now() / 1000;
    if (this.#wasSetRight(clock, least)) this.#setOffset(0);
    // It was set back, and not to the right time. What passes from here on counts, in the power's absence, too.
    else if (clock + this.#offset < least - DAY_SECONDS) this.#setOffset(least - clock);
    this.#latest = Math.max(least, clock + this.#offset);
    return this.#latest;
  }

  /** Whether the clock, of which it is known that it was wrong, now shows a time that can be the right one. */
  #wasSetRight(clock: number, least: number): boolean {
    if (this.#offset === 0 || clock < least - DAY_SECONDS) return false;
    const wentBack = clock + this.#offset < least - DAY_SECONDS;
    return wentBack || !this.#measured || this.#offset > LARGE_OFFSET_SECONDS;
  }

  #setOffset(seconds: number): void {
    this.#offset = seconds;
    this.#measured = false;
  }
}
