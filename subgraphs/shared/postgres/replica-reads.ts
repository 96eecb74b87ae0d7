/**
 * Reads from replicas. The one rule: a read that may lag is taken at a replica only when the replica has replayed at
 * least the position that the primary's log had when the caller's last operation ended; otherwise at the primary. So
 * callers find what they have written, and never see less than they have seen before, whichever process and server
 * answers. Source: docs/decisions/data/replica-reads.md
 */
import type { Logger } from 'pino';
import { CoalescedRefresh } from '../../../core/async/coalesce.ts';
import { Poller } from '../../../core/async/poller.ts';
import { TimeoutError, withTimeout } from '../../../core/async/timeout.ts';
import type { Caller } from '../../../core/access/caller.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import { unattended } from '../../../core/last-handler/unattended.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { KeyValueStore } from '../stores/key-value-store.ts';
import type { ReplicaState } from './log-positions.ts';
import { asServiceError } from './service-error.ts';

/** The reads of one operation that may lag behind the primary. */
export interface LaggingReads {
  /** Runs a read at a replica, or at the primary. It may run twice: what fails at a replica is read at the primary. */
  read<T>(work: (db: PrismaClient) => Promise<T>): Promise<T>;
}

/** The places of all reads that may lag. */
export interface ReplicaReads {
  /** Gives the reads of one operation of this caller. All of them take the same place. */
  of(caller: Caller): LaggingReads;
  /**
   * Notes what the caller may have seen; to be called when an operation has ended, before its answer leaves. Never
   * rejects.
   */
  seen(caller: Caller, isMutation: boolean): Promise<void>;
}

/** Gives a server without replicas: everything is read at the primary. */
export function primaryReads(prisma: PrismaClient): ReplicaReads {
  const reads: LaggingReads = { read: (work) => work(prisma) };
  return { of: () => reads, seen: async () => undefined };
}

/** A replica: its client, and the reader of its state. */
export interface Replica {
  /** Its address, without credentials, for the log. */
  readonly name: string;
  readonly prisma: PrismaClient;
  readonly readState: () => Promise<ReplicaState>;
}

/** The servers, and what the reads of all processes share. */
export interface ReplicasOptions {
  readonly prisma: PrismaClient;
  readonly replicas: readonly Replica[];
  /** Gives the position of the primary's log: everything that a reader of the primary can see lies before it. */
  readonly readPosition: () => Promise<bigint>;
  /** Shares the positions of callers between processes. */
  readonly store: Pick<KeyValueStore, 'get' | 'set'>;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
  readonly times?: Partial<ReplicaTimes>;
}

/** The times of polls and reads, in milliseconds. */
export interface ReplicaTimes {
  /** The time between two polls of the servers. */
  readonly pollIntervalMs: number;
  /** The time in which a server or the store has to answer a poll. */
  readonly answerMs: number;
  /** The time in which a replica has to answer a read, before the primary gets it. */
  readonly readMs: number;
  /** A replica that is this far behind the primary is left out until it is at most half as far behind. */
  readonly maxLagMs: number;
}

const TIMES: ReplicaTimes = { pollIntervalMs: 1_000, answerMs: 500, readMs: 4_000, maxLagMs: 10_000 };

/**
 * Seconds for which a caller's position is kept: much longer than a replica in use can be behind, so that every one of
 * them has it when it is forgotten.
 */
const POSITION_SECONDS = 120;

/**
 * Gives the name of a caller's position; null for callers that have none: vehicles, and those of shared subscriptions.
 */
function nameOf(caller: Caller): string | null {
  if (caller.kind === 'user') return caller.userId === null ? null : `seen:user:${caller.userId}`;
  if (caller.kind === 'apiKey') return caller.apiKeyId === null ? null : `seen:apiKey:${caller.apiKeyId}`;
  return null;
}

/** A replica as this process knows it. */
interface Known extends Replica {
  inUse: boolean;
  replayed: bigint;
  /** The reason why it is left out; null while it is in use, and before the first poll. */
  reason: string | null;
}

/** Reads at replicas, and follows how far they are. */
export class Replicas implements ReplicaReads {
  readonly #replicas: readonly Known[];
  readonly #times: ReplicaTimes;
  /** The primary's positions in the past, oldest first, each with the time before it was read. */
  #positions: { readonly atMs: number; readonly position: bigint }[] = [];
  #position = 0n;
  readonly #refreshes = new CoalescedRefresh(async () => {
    this.#position = await withTimeout(this.#times.answerMs, 'The primary does not give its position.', () =>
      this.options.readPosition(),
    );
  });
  readonly #poller: Poller;
  #turn = 0;
  /** The time until which everything is read at the primary, because the position of a change could not be stored. */
  #primaryUntilMs = 0;

  constructor(private readonly options: ReplicasOptions) {
    this.#times = { ...TIMES, ...options.times };
    this.#replicas = options.replicas.map((replica) => ({ ...replica, inUse: false, replayed: 0n, reason: null }));
    this.#poller = Poller.every(this.#times.pollIntervalMs, () => this.poll());
  }

  /** Begins to follow the servers. Resolves after the first poll; a server that is down does not reject it. */
  start(): Promise<void> {
    return this.#poller.start();
  }

  async close(): Promise<void> {
    await this.#poller.close();
  }

  of(caller: Caller): LaggingReads {
    const { prisma } = this.options;
    let chosen: Promise<Known | null> | undefined;
    return {
      read: async (work) => {
        const replica = await (chosen ??= this.#choose(caller));
        if (replica === null) return work(prisma);
        try {
          return await withTimeout(this.#times.readMs, `${replica.name} does not answer.`, () => work(replica.prisma));
        } catch (error) {
          if (error instanceof FleetFlagError) throw error;
          // A conflict with what it replays ends a read, too; that is no reason to leave it out.
          if (error instanceof TimeoutError || asServiceError(error) !== error)
            this.#leaveOut(replica, 'it does not answer', error);
          chosen = Promise.resolve(null);
          return work(prisma);
        }
      },
    };
  }

  async seen(caller: Caller, isMutation: boolean): Promise<void> {
    const name = nameOf(caller);
    if (name === null) return;
    try {
      await this.#refreshes.refresh();
      await this.#ask(() => this.options.store.set(name, String(this.#position), POSITION_SECONDS));
    } catch (error) {
      // A read may be forgotten: while the primary is down, nothing newer exists. A change may not.
      if (!isMutation) return;
      if (performance.now() >= this.#primaryUntilMs)
        this.options.logger.warn(
          { err: error },
          'Cannot store the position of a change; reading everything at the primary until the replicas have it',
        );
      this.#primaryUntilMs = performance.now() + 2 * this.#times.maxLagMs;
    }
  }

  /** Polls all servers once. Never rejects. */
  async poll(): Promise<void> {
    const atMs = performance.now();
    try {
      await this.#refreshes.refresh();
      this.#positions.push({ atMs, position: this.#position });
    } catch {
      // The primary is down. Replicas that have replayed its last known position stay in use.
    }
    // One position before the bound stays: what a replica has to have replayed by now.
    while ((this.#positions[1]?.atMs ?? Infinity) < atMs - this.#times.maxLagMs) this.#positions.shift();
    await Promise.all(this.#replicas.map((replica) => this.#pollReplica(replica)));
  }

  async #pollReplica(replica: Known): Promise<void> {
    try {
      await this.#update(replica);
    } catch (error) {
      return this.#leaveOut(replica, 'it does not answer', error);
    }
    const behindMs = this.#behindMs(replica);
    if (behindMs > this.#times.maxLagMs)
      return this.#leaveOut(replica, `it is more than ${this.#times.maxLagMs / 1_000} s behind the primary`);
    if (replica.inUse || behindMs > this.#times.maxLagMs / 2) return;
    [replica.inUse, replica.reason] = [true, null];
    this.options.logger.info({ replica: replica.name }, 'A replica answers; reading lists, search and history there');
  }

  /** Reads how far a replica is. */
  async #update(replica: Known): Promise<void> {
    const { isStandby, replayed } = await this.#ask(() => replica.readState());
    if (!isStandby) throw new Error(`${replica.name} takes writes, so it is no replica.`);
    replica.replayed = replayed;
  }

  /** The milliseconds since the oldest position of the primary that the replica has not replayed; 0 without any. */
  #behindMs({ replayed }: Known): number {
    const missed = this.#positions.find(({ position }) => position > replayed);
    return missed === undefined ? 0 : performance.now() - missed.atMs;
  }

  #leaveOut(replica: Known, reason: string, error?: unknown): void {
    replica.inUse = false;
    if (replica.reason === reason) return;
    replica.reason = reason;
    this.options.logger.warn(
      { replica: replica.name, err: error },
      `A replica is left out: ${reason}; reading at the others or the primary until that is over`,
    );
  }

  /** Chooses the place of an operation's reads; null for the primary. Never rejects. */
  async #choose(caller: Caller): Promise<Known | null> {
    const name = nameOf(caller);
    const inUse = this.#replicas.filter((replica) => replica.inUse);
    if (name === null || inUse.length === 0 || performance.now() < this.#primaryUntilMs) return null;
    const first = this.#turn++ % inUse.length;
    const inTurn = [...inUse.slice(first), ...inUse.slice(0, first)];
    try {
      const seen = await this.#ask(() => this.options.store.get(name));
      const position = seen === null ? await this.#presentPosition() : BigInt(seen);
      const far = (replica: Known) => replica.replayed >= position;
      const found = inTurn.find(far);
      if (found !== undefined) return found;
      // It may have gone on since the last poll.
      const [next] = inTurn;
      if (next === undefined) return null;
      await this.#update(next);
      return far(next) ? next : null;
    } catch {
      // The next poll logs the reason, or the store is down, which has a log line of its own.
      return null;
    }
  }

  /**
   * Gives the primary's position, for a caller of whom none is known: a store that was restarted empty has lost it.
   * While the primary is down, it is the last known one.
   */
  async #presentPosition(): Promise<bigint> {
    await this.#refreshes.refresh().catch(() => undefined);
    return this.#position;
  }

  #ask<T>(question: () => Promise<T>): Promise<T> {
    return withTimeout(this.#times.answerMs, `No answer in ${this.#times.answerMs} ms`, question);
  }
}

/** Starts following the replicas in the background: a start does not wait for a replica that is down. */
export function followReplicas(options: ReplicasOptions): Replicas {
  const replicas = new Replicas(options);
  unattended(replicas.start(), 'Following the replicas');
  return replicas;
}
