/**
 * Lets the queries and mutations of websockets begin one after the other, with a turn of the event loop between two. Hundreds
 * of vehicles may ask at once, and a full batch of measurements takes some 20 ms to be read and checked: begun all at
 * once they would keep an operator's kill switch waiting for seconds (docs/decisions/turns.md).
 */
import Queue from 'yocto-queue';
import { FleetFlagError } from '../../core/errors.ts';

/** Seconds that one who is turned away is asked to wait. Agents spread it over as long again. */
const RETRY_AFTER = 5;

export class Turns {
  readonly #soon = new Queue<() => void>();
  readonly #later = new Queue<() => void>();
  #running = false;

  /** @param maxLater that may wait for a later turn: each holds its variables */
  constructor(private readonly maxLater: number) {}

  /** How many wait. */
  get waiting(): number {
    return this.#soon.size + this.#later.size;
  }

  /**
   * Resolves when it is their turn.
   *
   * @param later after all that are not, for what nobody waits for
   * @throws SERVICE_UNAVAILABLE with `retryAfter` where too many wait for a later turn
   */
  take(later: boolean): Promise<void> {
    if (later && this.#later.size >= this.maxLater) {
      throw new FleetFlagError('SERVICE_UNAVAILABLE', 'Too many operations wait for their turn; a retry is safe.', { retryAfter: RETRY_AFTER });
    }
    return new Promise((resolve) => {
      (later ? this.#later : this.#soon).enqueue(resolve);
      if (this.#running) return;
      this.#running = true;
      setImmediate(this.#next);
    });
  }

  readonly #next = (): void => {
    const begin = this.#soon.dequeue() ?? this.#later.dequeue();
    this.#running = begin !== undefined;
    if (begin === undefined) return;
    begin();
    setImmediate(this.#next);
  };
}
