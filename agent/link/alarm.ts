import { timerDelay } from '../../core/async/timer-delay.ts';

/** A timer for one piece of work. A later `set` replaces its time. The timer does not keep the process alive. */
export class Alarm {
  #timer: NodeJS.Timeout | undefined;
  #atMs = Infinity;
  #due = false;

  /** @param ring called when the work becomes due */
  constructor(private readonly ring: () => void) {}

  /** Makes the work due in `milliseconds`, and replaces an earlier time. */
  set(milliseconds: number): void {
    this.cancel();
    this.#atMs = performance.now() + milliseconds;
    this.#timer = setTimeout(() => {
      this.#due = true;
      this.ring();
    }, timerDelay(milliseconds)).unref();
  }

  /** Makes the work due in `milliseconds`, unless it is due sooner. */
  bringForward(milliseconds: number): void {
    if (!this.#due && performance.now() + milliseconds < this.#atMs) this.set(milliseconds);
  }

  /** Whether the work has become due, and neither `set` nor `cancel` was called since. */
  get due(): boolean {
    return this.#due;
  }

  /** Cancels the time. The work is no longer due. */
  cancel(): void {
    clearTimeout(this.#timer);
    this.#due = false;
    this.#atMs = Infinity;
  }
}
