/**
 * Batches many vehicles' heartbeats into few statements, and answers each when it is written. The queue is bounded by
 * the number of vehicles: each has at most one waiting heartbeat, into which later ones are merged.
 */
import { FleetFlagError } from '../../../core/errors.ts';
import { withTimeout } from '../../../core/async/timeout.ts';
import { mergeHeartbeats, type Heartbeat } from './heartbeat.ts';

/** The limits of one collector. */
export interface CollectorLimits {
  /** Milliseconds that a heartbeat waits for others. */
  readonly window: number;
  /** The most vehicles of one statement. */
  readonly batch: number;
  /** Milliseconds until a statement counts as failed. */
  readonly timeout: number;
  /** The most heartbeats held, waiting or being written. */
  readonly held: number;
}

/** The default limits. */
export const COLLECTOR_LIMITS: CollectorLimits = { window: 250, batch: 5_000, timeout: 10_000, held: 50_000 };

/** The first `retryAfter` in seconds; it doubles with each consecutive failure. */
const FIRST_RETRY = 5;
const LONGEST_RETRY = 60;

/** Writes heartbeats of different vehicles. Resolves to the VINs that are registered, or rejects. */
export type WriteHeartbeats = (heartbeats: readonly Heartbeat[]) => Promise<ReadonlySet<string>>;

interface Waiting {
  heartbeat: Heartbeat;
  readonly answers: { readonly resolve: (registered: boolean) => void; readonly reject: (error: unknown) => void }[];
}

/** Batches heartbeats; see the top of this file. */
export class HeartbeatCollector {
  /** Waiting heartbeats by VIN, in the order of arrival. */
  #waiting = new Map<string, Waiting>();
  #held = 0;
  #writing: Promise<void> | null = null;
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #closing = false;

  constructor(
    private readonly write: WriteHeartbeats,
    private readonly limits: CollectorLimits = COLLECTOR_LIMITS,
  ) {}

  /**
   * Queues a heartbeat. Resolves when it is written, to whether its vehicle is registered.
   *
   * @throws FleetFlagError SERVICE_UNAVAILABLE with `retryAfter` when it was not written or the queue is full
   */
  async add(heartbeat: Heartbeat): Promise<boolean> {
    if (this.#closing) throw this.#unavailable('Heartbeats are not taken while this instance stops; try again.');
    if (this.#held >= this.limits.held) throw this.#unavailable('The database is behind; a retry is safe.');
    this.#held += 1;
    const written = new Promise<boolean>((resolve, reject) => {
      const known = this.#waiting.get(heartbeat.vin);
      if (known === undefined) this.#waiting.set(heartbeat.vin, { heartbeat, answers: [{ resolve, reject }] });
      else {
        known.heartbeat = mergeHeartbeats(known.heartbeat, heartbeat);
        known.answers.push({ resolve, reject });
      }
    });
    this.#schedule();
    return written;
  }

  /** Accepts no more heartbeats; resolves when all accepted ones are written or refused. */
  async close(): Promise<void> {
    this.#closing = true;
    while (this.#waiting.size > 0 || this.#writing !== null) {
      if (this.#writing === null) this.#flush();
      await this.#writing;
    }
  }

  /** Runs one statement at a time: meanwhile heartbeats gather for the next. */
  #schedule(): void {
    if (this.#writing !== null || this.#waiting.size === 0) return;
    if (this.#waiting.size >= this.limits.batch) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), this.limits.window);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const group = [...this.#waiting.values()].slice(0, this.limits.batch);
    for (const { heartbeat } of group) this.#waiting.delete(heartbeat.vin);
    this.#writing = this.#store(group).then(() => {
      this.#writing = null;
      this.#schedule();
    });
  }

  /**
   * Writes a group and answers all its callers; never rejects. Ends at the timeout, whether the statement has ended or
   * not.
   */
  async #store(group: readonly Waiting[]): Promise<void> {
    try {
      const registered = await withTimeout(this.limits.timeout, 'Heartbeats were not written in time', () => {
        const writing = this.write(group.map(({ heartbeat }) => heartbeat));
        // The places are free when the statement has ended: after the timeout it still holds what it writes.
        const freed = () => group.forEach(({ answers }) => (this.#held -= answers.length));
        writing.then(freed, freed);
        return writing;
      });
      this.#failures = 0;
      for (const { heartbeat, answers } of group)
        for (const { resolve } of answers) resolve(registered.has(heartbeat.vin));
    } catch (cause) {
      this.#failures += 1;
      const refusal = this.#unavailable('The heartbeat was not stored; a retry is safe.', cause);
      for (const { answers } of group) for (const { reject } of answers) reject(refusal);
    }
  }

  #unavailable(message: string, cause?: unknown): FleetFlagError {
    const retryAfter = Math.min(LONGEST_RETRY, FIRST_RETRY * 2 ** Math.min(Math.max(this.#failures - 1, 0), 10));
    return new FleetFlagError('SERVICE_UNAVAILABLE', message, { retryAfter }, { cause });
  }
}
