/**
 * What has happened to the metrics queue since the database was written, appended entry by entry: a measurement then
 * costs a page of flash and not the whole database (docs/decisions/evaluation-counts-and-flash.md).
 *
 * Entries are numbered; the database says up to which number it contains them. When it is written, the journal becomes
 * `<file>.previous`, beside the database's own former generation, and the next entry begins a new one. The write of the
 * database takes a number of its own: the numbers of a former generation end there.
 */
import { createHash } from 'node:crypto';
import { dirname } from 'node:path';
import type { QueueOperation } from '../telemetry/metrics/metric-queue.ts';
import { isMissing, type FileSystem } from './durable-file.ts';

export interface JournalEntry {
  readonly entry: number;
  /** Of the queue that it belongs to. */
  readonly origin: string;
  /** Unix seconds by which flags age (../trust/ageing-clock.ts). */
  readonly time: number;
  readonly operations: readonly QueueOperation[];
}

export interface JournalAfter {
  readonly operations: readonly QueueOperation[];
  /** Of the last entry, or what was asked for where there is none. */
  readonly entry: number;
  readonly time: number;
  /** Whether there is more that cannot be read: an entry cut off, or one that is missing. */
  readonly incomplete: boolean;
}

/** Past this size the database is written instead. */
export const JOURNAL_BYTES = 131_072;
const DIGEST_LENGTH = 16;

const digestOf = (json: string) => createHash('sha256').update(json).digest('base64url').slice(0, DIGEST_LENGTH);

export class QueueJournal {
  #bytes = 0;
  /** False until it is known that the file ends with a whole entry, or that there is none. */
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
   * Reads what follows on entry `after` of the queue `origin`. Rejects where there is a file that cannot be read at
   * all.
   */
  async readAfter(origin: string, after: number): Promise<JournalAfter> {
    const found: JournalEntry[] = [];
    let incomplete = false;
    for (const path of [this.#previous, this.path]) {
      const lines = (await this.#read(path)).split('\n');
      // What follows the last line break was cut off, or nothing.
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

  /** Resolves when the entry is on disk. Where it rejects, the database has to be written before the next one. */
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

  /** Begins a new journal, after the database has been written. Rejects where the present one cannot be put aside. */
  async rotate(): Promise<void> {
    this.#endsWhole = false;
    try {
      await this.files.rename(this.path, this.#previous);
    } catch (error) {
      if (!isMissing(error)) throw error;
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
      if (isMissing(error)) return '';
      throw error;
    }
  }
}

function readEntry(line: string): JournalEntry | null {
  const json = line.slice(DIGEST_LENGTH + 1);
  if (line !== `${digestOf(json)} ${json}`) return null;
  // eslint-disable-next-line @typescript-eslint/consistent-type-assertions -- the digest says that this is what `append` wrote
  return JSON.parse(json) as JournalEntry;
}
