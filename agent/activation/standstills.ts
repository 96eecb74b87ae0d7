/**
 * Bounds how often a vehicle changes over. Each standstill, with the drive after it, writes the whole file three times,
 * and a program or a sensor may report one many times a second: flash would wear out.
 */

/** The most standstills that begin within ten minutes. */
export const MAX_STANDSTILLS = 20;
const WINDOW_MS = 600_000;

/** Counts standstills. */
export class Standstills {
  /** The readings of the running time at which the last ones began, oldest first. */
  #begun: readonly number[] = [];

  /**
   * Counts one that begins.
   *
   * @param runningMs milliseconds by a monotonic clock
   */
  begins(runningMs: number): void {
    this.#begun = [...this.#begun, runningMs].slice(-MAX_STANDSTILLS);
  }

  /** Gives the milliseconds until one may begin; 0 for now. */
  waitMs(runningMs: number): number {
    const [oldest = 0] = this.#begun;
    return this.#begun.length < MAX_STANDSTILLS ? 0 : Math.max(0, oldest + WINDOW_MS - runningMs);
  }
}
