/**
 * Writes the file of faults after each change, without two writes at once, and retries a write that has failed.
 */
import { CoalescedRefresh } from '../../core/async/coalesce.ts';
import { unattended } from '../../core/last-handler/unattended.ts';
import { describeError, type Log } from '../log.ts';
import type { FaultFile, FaultFileContent } from './fault-file.ts';

/** The options of a writer. */
export interface FaultWriterOptions {
  readonly file: Pick<FaultFile, 'write'>;
  /**
   * Gives the content to write; null while there is nowhere to write it, or no vehicle is known to which it belongs.
   */
  readonly content: () => FaultFileContent | null;
  /** The milliseconds until a failed write is retried. */
  readonly retryMs: number;
  readonly log: Log;
}

/** Keeps the file of faults up to date. */
export class FaultWriter {
  readonly #options: FaultWriterOptions;
  readonly #writes = new CoalescedRefresh(() => this.#write());
  /** Whether the content has changed since the last write began. */
  #isDirty = false;
  /** Settles when the last write that `save` has begun, or waits for, is done. */
  #lastSave: Promise<void> = Promise.resolve();
  /** The fault of the last write, which is logged once; null where it succeeded. */
  #fault: string | null = null;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: FaultWriterOptions) {
    this.#options = options;
  }

  /**
   * Writes what is not on disk yet, and does not wait for that.
   *
   * @param hasChanged whether the content has changed
   */
  saveSoon(hasChanged = true): void {
    unattended(this.save(hasChanged), 'Writing the faults');
  }

  /** Writes what is not on disk yet. Resolves when that is done, or has failed and will be retried. */
  save(hasChanged: boolean): Promise<void> {
    this.#isDirty ||= hasChanged;
    if (this.#isDirty && !this.#isClosed) this.#lastSave = this.#writes.refresh();
    return this.#lastSave;
  }

  /** Resolves when the changes so far are on disk, or their write has failed and will be retried. */
  written(): Promise<void> {
    return this.#lastSave;
  }

  /** Writes what is not on disk yet, with one attempt. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#writes.close();
    if (this.#isDirty) await this.#write();
    clearTimeout(this.#retry);
  }

  async #write(): Promise<void> {
    const { file, content, retryMs, log } = this.#options;
    const written = content();
    if (written === null) return;
    clearTimeout(this.#retry);
    this.#isDirty = false;
    try {
      await file.write(written);
      this.#fault = null;
    } catch (error) {
      this.#isDirty = true;
      const fault = describeError(error);
      if (fault !== this.#fault) log('error', `cannot write the faults; trying again: ${fault}`);
      this.#fault = fault;
      if (!this.#isClosed)
        this.#retry = setTimeout(() => unattended(this.save(false), 'Writing the faults again'), retryMs).unref();
    }
  }
}
