import { timerDelay } from '../timer-delay.ts';

/** One thing that is due at some time: a later call moves it, and whoever does it takes it. Holds no process. */
export class Alarm {
  #timer: NodeJS.Timeout | undefined;
  #atMs = Infinity;
  #due = false;

  /** @param ring called when it becomes due */
  constructor(private readonly ring: () => void) {}

  /** Makes it due in `milliseconds`, whatever was said before. */
  set(milliseconds: number): void {
    this.cancel();
    this.#atMs = performance.now() + milliseconds;
    this.#timer = setTimeout(() => {
      this.#due = true;
      this.ring();
    }, timerDelay(milliseconds)).unref();
  }

  /** Makes it due in `milliseconds`, unless it is due before. */
  bringForward(milliseconds: number): void {
    if (!this.#due && performance.now() + milliseconds < this.#atMs) this.set(milliseconds);
  }

  get due(): boolean {
    return this.#due;
  }

  cancel(): void {
    clearTimeout(this.#timer);
    this.#due = false;
    this.#atMs = Infinity;
  }
}
