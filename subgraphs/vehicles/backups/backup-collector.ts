/**
 * Batches the backups of many agents into few statements, and answers each when it is written. The queue is bounded by
 * bytes; of one agent it holds the last backup only.
 */
import { BatchWriter, type NotWrittenReason } from '../../../core/async/batch-writer.ts';
import type { BackoffBounds } from '../../../core/async/backoff.ts';
import { asRefusedWrite } from '../../shared/subgraph/not-written.ts';
import type { Backup } from './backup.ts';
import { backupKey, type BackupOutcome } from './backup-store.ts';

/** The limits of one collector. */
export interface BackupCollectorLimits {
  /** Milliseconds that a backup waits for others. */
  readonly windowMs: number;
  /** The characters of base64 of one statement; one backup more may come on top. */
  readonly batchBytes: number;
  /** Milliseconds until a statement counts as failed. */
  readonly timeoutMs: number;
  /** The most characters held, waiting or being written. */
  readonly heldBytes: number;
}

/** The default limits. */
export const BACKUP_COLLECTOR_LIMITS: BackupCollectorLimits = {
  windowMs: 250,
  batchBytes: 1_048_576,
  timeoutMs: 10_000,
  heldBytes: 33_554_432,
};

/** The `retryAfter` for vehicles: long, because nothing is lost for as long as the vehicle has its file. */
const BACKOFF: BackoffBounds = { baseMs: 30_000, capMs: 600_000 };

const NOT_STORED = 'The backup was not stored; a retry is safe.';
const MESSAGES: Readonly<Record<NotWrittenReason, string>> = {
  full: 'Too many backups are waiting for the database; a retry is safe.',
  closed: 'This instance is shutting down and accepts no backups; try again.',
  failed: NOT_STORED,
  abandoned: NOT_STORED,
};

/** Writes backups of different agents; resolves to the result for each, or rejects. */
export type WriteBackups = (backups: readonly Backup[]) => Promise<ReadonlyMap<string, BackupOutcome>>;

/** Batches backups; see the top of this file. */
export class BackupCollector {
  readonly #writer: BatchWriter<Backup, ReadonlyMap<string, BackupOutcome>>;

  constructor(write: WriteBackups, limits: BackupCollectorLimits = BACKUP_COLLECTOR_LIMITS) {
    this.#writer = new BatchWriter<Backup, ReadonlyMap<string, BackupOutcome>>({
      write: (backups) => write(backups),
      sizeOf: ({ content }) => content.length,
      batchSize: limits.batchBytes,
      maxAgeMs: limits.windowMs,
      concurrency: 1,
      timeoutMs: limits.timeoutMs,
      abandonQueueOnTimeout: false,
      room: [{ capacity: limits.heldBytes, takenBy: ({ content }) => content.length }],
      backoff: BACKOFF,
      merging: { keyOf: backupKey, merge: (_waiting, later) => later },
    });
  }

  /**
   * Queues a backup. Resolves to the result when it is written.
   *
   * @throws FleetFlagError SERVICE_UNAVAILABLE with `retryAfter` when it was not written or there is no room
   */
  async add(backup: Backup): Promise<BackupOutcome> {
    try {
      return (await this.#writer.add(backup)).get(backupKey(backup)) ?? 'unregistered';
    } catch (error) {
      throw asRefusedWrite(error, MESSAGES);
    }
  }

  /** Accepts no more backups; resolves when all accepted ones are written or refused. */
  close(): Promise<void> {
    return this.#writer.close();
  }
}
