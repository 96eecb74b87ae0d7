/**
 * The journal of the metrics queue: the changes since the database was written, appended entry by entry. With it, a
 * measurement costs a page of flash and not the whole database (docs/decisions/vehicle/evaluation-counts-and-flash.md).
 *
 * Entries are numbered, and the database says up to which number it contains them. When the database is written, the
 * journal becomes `<file>.previous`, beside the database's previous generation, and the next entry begins a new
 * journal. The write of the database takes a number of its own, with which the numbers of the previous generation end.
 */
import { createHash } from 'node:crypto';
import { dirname } from 'node:path';
import type { QueueOperation } from '../telemetry/metrics/metric-queue.ts';
import { isMissingFile } from '../../core/caught-error.ts';
import type { FileSystem } from './files/durable-file.ts';

/** An entry of the journal: operations of the queue that were written together. */
export interface JournalEntry {
  readonly entry: number;
  /** The origin of the queue to which the entry belongs. */
  readonly origin: string;
  /** The Unix seconds of the ageing clock (../trust/ageing-clock.ts). */
  readonly time: number;
  readonly operations: readonly QueueOperation[];
}

/** The entries of the journal that follow a given one. */
export interface JournalAfter {
  readonly operations: readonly QueueOperation[];
  /** The number of the last entry, or the number after which to read where there is none. */
  readonly entry: number;
  readonly time: number;
  /** Whether there are more entries that cannot be read, because one was cut off or is missing. */
  readonly incomplete: boolean;
}

/** The bytes of a journal beyond which the database is written instead. */
export const JOURNAL_BYTES = 131_072;
const DIGEST_LENGTH = 16;

const digestOf = (json: string) => createHash('sha256').update(json).digest('base64url').slice(0, DIGEST_LENGTH);

/** Appends to the journal of a queue and reads it. */
export class QueueJournal {
  #bytes = 0;
  /** Whether the file is known to end with a whole entry, or not to exist. */
  #endsWhole = false;

  constructor(
    private readonly path: string,
    private readonly files: FileSystem,
  ) {}

  /** Whether the next entry may be appended; otherwise the database has to be written first. */
  get usable(): boolean {
    return this.#endsWhole && this.#bytes < JOURNAL_BYTES;
  }

  /** Whether nothing was appended since the database was written. */
  get isEmpty(): boolean {
    return this.#bytes === 0;
  }

  /**
   * Reads the entries that follow entry `after` of the queue `origin`. Rejects where there is a file that cannot be
   * read at all.
   */
  async readAfter(origin: string, after: number): Promise<JournalAfter> {
    const found: JournalEntry[] = [];
    let incomplete = false;
    for (const path of [this.#previous, this.path]) {
      const lines = (await this.#read(path)).split('\n');
      // Text after the last line break is an entry that was cut off.
      incomplete ||= lines.pop() !== '';
      for (const line of lines) {
        const entry = readEntry(line);
        if (entry === null) incomplete = true;
        else if (entry.origin === origin && entry.entry > after) found.push(entry);
      }
    }
    const following: JournalEntry[] = [];
    for (const each of found) if (each.entry === after + 1 + following.length) following.push(each);
    return {
      operations: following.flatMap(({ operations }) => operations),
      entry: after + following.length,
      time: Math.max(0, ...following.map(({ time }) => time)),
      incomplete: incomplete || following.length < found.length,
    };
  }

  /**
   * Appends an entry and resolves when it is on disk. After a rejection, the database must be written before the next.
   */
  async append(entry: JournalEntry): Promise<void> {
    const json = JSON.stringify(entry);
    const bytes = Buffer.from(`${digestOf(json)} ${json}\n`);
    const first = this.#bytes === 0;
    this.#endsWhole = false;
    await this.files.append(this.path, bytes);
    if (first) await this.files.flushFolder(dirname(this.path));
    this.#bytes += bytes.byteLength;
    this.#endsWhole = true;
  }

  /** Begins a new journal after a write of the database. Rejects where the present journal cannot be renamed. */
  async rotate(): Promise<void> {
    this.#endsWhole = false;
    try {
      await this.files.rename(this.path, this.#previous);
    } catch (error) {
      if (!isMissingFile(error)) throw error;
    }
    this.#bytes = 0;
    this.#endsWhole = true;
  }

  get #previous(): string {
    return `${this.path}.previous`;
  }

  async #read(path: string): Promise<string> {
    try {
      return Buffer.from(await this.files.read(path)).toString('utf8');
    } catch (error) {
      if (isMissingFile(error)) return '';
      throw error;
    }
  }
}

function readEntry(line: string): JournalEntry | null {
  const json = line.slice(DIGEST_LENGTH + 1);
  if (line !== `${digestOf(json)} ${json}`) return null;
  // oxlint-disable-next-line typescript/consistent-type-assertions -- the digest says that this is what `append` wrote
  return JSON.parse(json) as JournalEntry;
}
