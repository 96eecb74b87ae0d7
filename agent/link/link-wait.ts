import { timerDelay } from '../../core/async/timer-delay.ts';

/** Waits between two requests over a link, and stops waiting when the link ends. */
export class LinkWait {
  #ended = false;
  #timer: NodeJS.Timeout | undefined;
  /** The reading of `performance.now()` at which the present pause ends. */
  #dueAtMs = 0;
  /** Ends the present pause. */
  #endPause: () => void = () => undefined;

  /** @param ended resolves when the link has ended */
  constructor(ended: Promise<unknown>) {
    const over = () => {
      this.#ended = true;
      clearTimeout(this.#timer);
      this.#endPause();
    };
    ended.then(over, over);
  }

  /** Whether the link has ended. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Resolves after `milliseconds`, or as soon as the link ends. Does not keep the process alive. */
  pause(milliseconds: number): Promise<void> {
    if (this.#ended) return Promise.resolve();
    return new Promise((resolve) => {
      this.#endPause = resolve;
      this.#after(milliseconds);
    });
  }

  /** Ends the present pause in `milliseconds` where it would last longer. */
  shorten(milliseconds: number): void {
    if (!this.#ended && performance.now() + milliseconds < this.#dueAtMs) this.#after(milliseconds);
  }

  #after(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#dueAtMs = performance.now() + milliseconds;
    this.#timer = setTimeout(() => this.#endPause(), timerDelay(milliseconds)).unref();
  }
}
