/**
 * The ageing clock: the time by which flags age. It follows the control plane's time as well as the vehicle can, and
 * goes back only at a verified contact. A clock of the vehicle that is set back, or that starts in 1970 after the
 * battery was off, does not make old flags fresh. While the process runs, the passing time counts whatever the
 * vehicle's clock shows. A clock that is known to be wrong by years is corrected by the known offset.
 */
import { SharedReading } from '../../core/async/shared-reading.ts';

const DAY_SECONDS = 86_400;
/** The offset beyond which a clock that shows a plausible time must have been set right, and not be so by chance. */
const LARGE_OFFSET_SECONDS = 30 * DAY_SECONDS;

/** The time that is stored across restarts. */
export interface KeptTime {
  /** The Unix seconds of the ageing clock. */
  readonly latest: number;
  /** The seconds to add to the vehicle's clock. */
  readonly offset: number;
  /** Whether the offset comes from a contact; otherwise the vehicle's clock went back. */
  readonly measured: boolean;
}

/** Gives the time by which flags age. */
export class AgeingClock {
  /** The last reading of this clock, in Unix seconds. */
  #latest = -Infinity;
  /** The seconds to add to the vehicle's clock, which is known to be wrong; 0 where it counts as right. */
  #offset = 0;
  /** Whether the offset comes from a contact, and not from a vehicle's clock that went back. */
  #measured = false;
  /** The milliseconds of the monotonic clock at the last reading. */
  #runningAtMs: number;
  /** The control plane's clock minus the vehicle's, in seconds, at the last contact; null before the first. */
  #difference: number | null = null;
  /** The time within one synchronous run of the program. */
  readonly #ofRun = new SharedReading(() => this.seconds());

  /**
   * @param now the vehicle's clock, in milliseconds since 1970
   * @param running the monotonic clock, in milliseconds, which cannot be set
   */
  constructor(
    private readonly now: () => number,
    private readonly running: () => number = () => performance.now(),
  ) {
    this.#runningAtMs = running();
  }

  /** Gives the time in Unix seconds, rounded down. */
  seconds(): number {
    return Math.floor(this.#read());
  }

  /** Gives `seconds()`, read once in each synchronous run of the program. */
  secondsOfRun(): number {
    return this.#ofRun.get();
  }

  /**
   * The control plane's clock minus the vehicle's, in whole seconds, at the last contact; null before the first since
   * the start.
   */
  get differenceSeconds(): number | null {
    return this.#difference === null ? null : Math.round(this.#difference);
  }

  /** The milliseconds of the monotonic clock. */
  get runningMs(): number {
    return this.running();
  }

  /** Goes on from `seconds` (Unix seconds) where the clock is behind it. */
  resumeAt(seconds: number): void {
    this.#read();
    this.#latest = Math.max(this.#latest, seconds);
    this.#ofRun.forget();
  }

  /** Goes on from a stored time. */
  resume({ latest, offset, measured }: KeptTime): void {
    this.#runningAtMs = this.running();
    [this.#latest, this.#offset, this.#measured] = [latest, offset, measured];
    this.#read();
    this.#ofRun.forget();
  }

  keep(): KeptTime {
    return { latest: Math.floor(this.#read()), offset: Math.round(this.#offset), measured: this.#measured };
  }

  /**
   * Says whether `issuedAt` (Unix seconds) is within a day of now. The vehicle's clock alone must not decide that: set
   * back to the time of a recorded proof, it would make old flags fresh.
   */
  isNear(issuedAt: number): boolean {
    return Math.abs(this.#read() - issuedAt) <= DAY_SECONDS;
  }

  /** Records a verified contact by a proof of `issuedAt` (Unix seconds), which `isNear` has accepted. */
  contact(issuedAt: number): void {
    this.#setTo(Math.max(this.#read(), issuedAt), issuedAt - this.now() / 1000);
  }

  /** Sets the time to `seconds` (Unix seconds), after an answer to this vehicle's own nonce. */
  answered(seconds: number): void {
    this.#setTo(seconds, seconds - this.now() / 1000);
  }

  #setTo(seconds: number, difference: number): void {
    this.#difference = difference;
    const offset = seconds - this.now() / 1000;
    this.#runningAtMs = this.running();
    this.#latest = seconds;
    this.#offset = Math.abs(offset) <= DAY_SECONDS ? 0 : offset;
    this.#measured = true;
    this.#ofRun.forget();
  }

  #read(): number {
    const running = this.running();
    const passed = (running - this.#runningAtMs) / 1000;
    this.#runningAtMs = running;
    const least = this.#latest + passed;
    const clock = this.now() / 1000;
    if (this.#wasSetRight(clock, least)) this.#setOffset(0);
    // The clock was set back to a wrong time. From now on passing time counts, even while the power is off.
    else if (clock + this.#offset < least - DAY_SECONDS) this.#setOffset(least - clock);
    this.#latest = Math.max(least, clock + this.#offset);
    return this.#latest;
  }

  /** Says whether a clock that was wrong now shows a time that can be right. */
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
