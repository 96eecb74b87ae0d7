/**
 * Puts the heartbeats of many vehicles into few statements, and answers each when its own is written. What waits is
 * bounded by the number of vehicles: a vehicle has one heartbeat waiting at most, into which later ones go.
 */
import { FleetFlagError } from '../../../core/errors.ts';
import { withTimeout } from '../../../core/async/timeout.ts';
import { mergeHeartbeats, type Heartbeat } from './heartbeat.ts';

export interface CollectorLimits {
  /** Milliseconds that a heartbeat waits for others. */
  readonly window: number;
  /** Vehicles of a statement. */
  readonly batch: number;
  /** Milliseconds until a statement counts as failed. */
  readonly timeout: number;
  /** Heartbeats that are held, waiting or under way. */
  readonly held: number;
}

export const COLLECTOR_LIMITS: CollectorLimits = { window: 250, batch: 5_000, timeout: 10_000, held: 50_000 };

/** Seconds: what a vehicle is told to wait, doubled with each statement that fails after another. */
const FIRST_RETRY = 5;
const LONGEST_RETRY = 60;

/** Writes heartbeats of different vehicles; resolves to the VINs that are registered, or rejects. */
export type WriteHeartbeats = (heartbeats: readonly Heartbeat[]) => Promise<ReadonlySet<string>>;

interface Waiting {
  heartbeat: Heartbeat;
  readonly answers: { readonly resolve: (registered: boolean) => void; readonly reject: (error: unknown) => void }[];
}

export class HeartbeatCollector {
  /** By VIN, in the order of their arrival. */
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
   * Resolves when the heartbeat is written, to whether its vehicle is registered.
   *
   * @throws FleetFlagError SERVICE_UNAVAILABLE with `retryAfter` when it was not written or there is no room
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

  /** Takes no more; resolves when all that was taken is written or refused. */
  async close(): Promise<void> {
    this.#closing = true;
    while (this.#waiting.size > 0 || this.#writing !== null) {
      if (this.#writing === null) this.#flush();
      await this.#writing;
    }
  }

  /** One statement at a time: while one is under way, heartbeats gather for the next. */
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
   * Writes a group and answers all who wait for it; never rejects. Over at the timeout, whatever the statement does.
   */
  async #store(group: readonly Waiting[]): Promise<void> {
    try {
      const registered = await withTimeout(this.limits.timeout, 'Heartbeats were not written in time', () => {
        const writing = this.write(group.map(({ heartbeat }) => heartbeat));
        // The room is free when the statement is over: one that nobody waits for any more still holds what it writes.
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
