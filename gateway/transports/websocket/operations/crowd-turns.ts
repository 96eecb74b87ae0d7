/**
 * Lets clients that start the same operation at about the same time begin together, so that what they need is read once
 * for all of them. A client that comes alone begins at once.
 */

/**
 * The least milliseconds between two beginnings, times the number of clients that began with the first; and the most
 * milliseconds.
 */
const PACE_MS = 10;
const MOST_MS = 100;

/** Schedules the beginnings of operations of a crowd of clients. */
export class CrowdTurns {
  /** The clients that wait for the next beginning. */
  #waiting: (() => void)[] = [];
  #lastAt = -Infinity;
  #lastCount = 0;

  /** Resolves at the next beginning, at most a tenth of a second from now; null for at once. */
  take(): Promise<void> | null {
    const nextAt = this.#lastAt + Math.min(MOST_MS, PACE_MS * this.#lastCount);
    const now = performance.now();
    if (this.#waiting.length === 0) {
      if (now >= nextAt) {
        this.#begin(now, 1);
        return null;
      }
      setTimeout(() => this.#beginAll(), nextAt - now);
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #begin(now: number, count: number): void {
    this.#lastAt = now;
    this.#lastCount = count;
  }

  #beginAll(): void {
    const all = this.#waiting;
    this.#waiting = [];
    this.#begin(performance.now(), all.length);
    for (const begin of all) begin();
  }
}
