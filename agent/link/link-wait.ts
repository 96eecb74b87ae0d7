import { timerDelay } from '../timer-delay.ts';

/** Waiting between two things that are done over a link: until it is time, or the link has ended. */
export class LinkWait {
  #ended = false;
  #timer: NodeJS.Timeout | undefined;
  #dueAt = 0;
  #over: () => void = () => undefined;

  /** @param ended resolves when the link is down */
  constructor(ended: Promise<unknown>) {
    const over = () => {
      this.#ended = true;
      clearTimeout(this.#timer);
      this.#over();
    };
    ended.then(over, over);
  }

  /** Whether the link has ended. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Resolves after `milliseconds`, or at once when the link ends. Holds no process. */
  pause(milliseconds: number): Promise<void> {
    if (this.#ended) return Promise.resolve();
    return new Promise((resolve) => {
      this.#over = resolve;
      this.#after(milliseconds);
    });
  }

  /** Lets a pause that is under way end in `milliseconds`, if it would last longer. */
  shorten(milliseconds: number): void {
    if (!this.#ended && performance.now() + milliseconds < this.#dueAt) this.#after(milliseconds);
  }

  #after(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#dueAt = performance.now() + milliseconds;
    this.#timer = setTimeout(() => this.#over(), timerDelay(milliseconds)).unref();
  }
}
