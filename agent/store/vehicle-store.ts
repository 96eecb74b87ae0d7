/**
 * The durable copy of the vehicle's state: an SQLite database in memory, kept as a file in two generations, and a
 * journal of what has happened to the metrics queue since.
 */
import initSqlJs, { type Database, type SqlJsStatic } from 'sql.js';
import { unattended } from '../../core/async/unattended.ts';
import { describeError, type Log } from '../log.ts';
import {
  emptyState,
  heldRevision,
  type HeldFlag,
  type StoredVariant,
  type VehicleIdentity,
  type VehicleState,
} from '../state.ts';
import type { KnownFacts } from '../facts/known-facts.ts';
import { verifyFacts } from '../facts/verify-facts.ts';
import { gapOfStart, type MetricQueue } from '../telemetry/metrics/metric-queue.ts';
import { readQueue } from '../telemetry/metrics/metric-rows.ts';
import { lastContact } from '../sync/apply.ts';
import type { AgeingClock } from '../trust/ageing-clock.ts';
import type { PinnedKeys } from '../trust/pinned-keys.ts';
import { refusalOf, type Refusal } from '../trust/refusals.ts';
import { DurableFile, type FileSystem, type Generation } from './durable-file.ts';
import { readFacts } from './facts-row.ts';
import { QueueJournal } from './queue-journal.ts';
import { readHeader, readState } from './state-rows.ts';
import { createDatabase, openDatabase, toBytes } from './vehicle-database.ts';
import { canWait } from './worth-a-write.ts';

/** Far more entries than a journal has. */
const ENTRY_GAP = 1_000_000;

export interface VehicleStoreOptions {
  readonly path: string;
  readonly files: FileSystem;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly refuse: (refusal: Refusal) => void;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly variantOf: (flag: HeldFlag, vin: string) => StoredVariant;
  readonly agentVersion: string;
  /** Milliseconds until a write that failed is tried again. */
  readonly retryMs: number;
  readonly afterWrite: () => void;
  /** Is kept in the same file, and in the journal beside it. */
  readonly queue: MetricQueue;
  /** What is registered of the vehicle is kept too. */
  readonly facts: KnownFacts;
  /** Its time is kept too. */
  readonly ageingClock: AgeingClock;
}

/** Where the state came from: a generation of the file, or nowhere. */
export type StoreSource = Generation | 'empty';

export interface StoreStatus {
  readonly source: StoreSource;
  /** What was wrong with the file at start; empty where nothing was. */
  readonly faults: readonly string[];
  /** The revision that would survive a power cut now. */
  readonly persistedRevision: number;
  /** Size of the last database that was written or read, in bytes. */
  readonly bytes: number;
  /** Why the last write failed, or null. */
  readonly writeFault: string | null;
}

export interface LoadedState {
  readonly state: VehicleState;
  /** Null where none are known yet: nothing can be verified before there are. */
  readonly keys: PinnedKeys | null;
}

interface Saved {
  readonly state: VehicleState;
  readonly keys: PinnedKeys;
}

export class VehicleStore {
  readonly #options: VehicleStoreOptions;
  readonly #file: DurableFile;
  readonly #journal: QueueJournal;
  #sql: SqlJsStatic | null = null;
  #database: Database | null = null;
  #source: StoreSource = 'empty';
  readonly #faults: string[] = [];
  #persistedRevision = 0;
  #bytes = 0;
  #writeFault: string | null = null;
  /** False while the present file is known to be broken: it must not push a good `.previous` out. */
  #presentIsGood = true;
  #unsaved: Saved | null = null;
  /** What was loaded or saved last. */
  #last: Saved | null = null;
  /** What the present file holds, whole; null where there is none, or not certainly. */
  #onDisk: Saved | null = null;
  /** Of the last journal entry, or write of the database, that there was. */
  #entry = 0;
  /** Whether operations of the queue were taken that are not on disk: the journal cannot go on without them. */
  #queueBehind = false;
  #retry: NodeJS.Timeout | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(options: VehicleStoreOptions) {
    this.#options = options;
    this.#file = new DurableFile(options.path, options.files);
    this.#journal = new QueueJournal(`${options.path}.queue`, options.files);
  }

  /**
   * Loads the newest generation that is whole and this vehicle's; never rejects for what is in the file.
   *
   * @param identity null where the token cannot be read: then whoever the file says, else null is returned
   * @param configuredKeys keys that are trusted instead of the stored ones, or null
   */
  async load(identity: VehicleIdentity | null, configuredKeys: PinnedKeys | null): Promise<LoadedState | null> {
    this.#sql = await initSqlJs();
    for (const generation of ['current', 'previous'] as const) {
      try {
        const loaded = await this.#loadGeneration(generation, identity, configuredKeys);
        if (loaded !== null) return loaded;
      } catch (error) {
        if (generation === 'current') this.#presentIsGood = false;
        this.#fault(`the ${generation} database cannot be used: ${describeError(error)}`);
      }
    }
    return identity === null ? null : { state: emptyState(identity), keys: configuredKeys };
  }

  async #loadGeneration(
    generation: Generation,
    identity: VehicleIdentity | null,
    configuredKeys: PinnedKeys | null,
  ): Promise<LoadedState | null> {
    const bytes = await this.#file.read(generation);
    if (bytes === null) return null;
    const database = openDatabase(this.#sql!, bytes);
    try {
      const header = await readHeader(database);
      if (
        identity !== null &&
        (header.identity.vin !== identity.vin || header.identity.environment !== identity.environment)
      ) {
        throw new Error(`it belongs to ${header.identity.vin} in ${header.identity.environment}`);
      }
      const keys = configuredKeys ?? header.pinnedKeys;
      if (keys === null) throw new Error('it pins no keys');
      const faultsBefore = this.#faults.length;
      const refuse = (refusal: Refusal) => {
        this.#options.refuse(refusal);
        this.#fault(`${refusal.message} in the ${generation} database`);
      };
      const { state, time } = await readState(database, header.identity, keys, refuse);
      const { ageingClock } = this.#options;
      if (time !== null) ageingClock.resume(time);
      // So late it was when the flags were last proven.
      ageingClock.resumeAt(lastContact(state));
      await this.#loadFacts(database, header.identity.vin, keys, refuse);
      await this.#loadQueue(database, generation);
      this.#last = { state, keys };
      this.#onDisk = generation === 'current' && this.#faults.length === faultsBefore ? this.#last : null;
      this.#database = database;
      this.#source = generation;
      this.#bytes = bytes.byteLength;
      this.#persistedRevision = heldRevision(state);
      return { state, keys };
    } catch (error) {
      database.close();
      throw error;
    }
  }

  /** Facts that do not verify are given up, and asked for again. */
  async #loadFacts(
    database: Database,
    vin: string,
    keys: PinnedKeys,
    refuse: (refusal: Refusal) => void,
  ): Promise<void> {
    const jws = readFacts(database);
    if (jws === null) return;
    try {
      this.#options.facts.restore(await verifyFacts(jws, vin, null, keys));
    } catch (error) {
      refuse(refusalOf(error, 'registered facts'));
    }
  }

  /** A queue that cannot be read is given up; the flags are worth more. */
  async #loadQueue(database: Database, generation: Generation): Promise<void> {
    const { queue, ageingClock } = this.#options;
    try {
      const stored = readQueue(database);
      if (stored === null) return;
      const { origin, rows, inBatch, nextId } = stored;
      const later = await this.#journal.readAfter(origin, stored.entry);
      const lost = generation === 'previous' || later.incomplete;
      queue.restore(origin, rows, inBatch, nextId, later.operations, gapOfStart(this.#options.random));
      ageingClock.resumeAt(later.time);
      // Entries that were written on top of what is lost must not be taken for the next ones.
      this.#entry = later.entry + (lost ? ENTRY_GAP : 0);
    } catch (error) {
      this.#fault(`the metrics queue in the ${generation} database cannot be used: ${describeError(error)}`);
    }
  }

  #fault(message: string): void {
    this.#faults.push(message);
    this.#options.log('error', message);
  }

  /**
   * Makes `state` durable. Resolves to whether it is on disk; never rejects. A failed write is tried again until it
   * succeeds or a newer state takes its place. A state that only says that nothing has changed may wait for the next
   * write (worth-a-write.ts).
   */
  save(state: VehicleState, keys: PinnedKeys): Promise<boolean> {
    this.#last = { state, keys };
    if (
      this.#unsaved === null &&
      this.#onDisk !== null &&
      keys === this.#onDisk.keys &&
      canWait(this.#onDisk.state, state)
    )
      return Promise.resolve(true);
    this.#unsaved = this.#last;
    return this.#enqueue();
  }

  /** Makes the registered facts durable, as `save`; not before there is a state that says whose they are. */
  saveFacts(): Promise<boolean> {
    if (this.#last === null) return Promise.resolve(false);
    this.#unsaved ??= this.#last;
    return this.#enqueue();
  }

  /** Makes the metrics queue durable, as `save`; not before there is a state that says whose it is. */
  saveQueue(): Promise<boolean> {
    return this.#last === null ? Promise.resolve(false) : this.#enqueue();
  }

  #enqueue(): Promise<boolean> {
    const done = this.#queue.then(() => this.#write());
    this.#queue = done;
    return done;
  }

  async #write(): Promise<boolean> {
    // Looked at here and not when it was asked for: a write that was under way then did not have all of the queue.
    const queueChanged = this.#queueBehind || this.#options.queue.changed;
    if (this.#last === null || (this.#unsaved === null && !queueChanged)) return this.#writeFault === null;
    clearTimeout(this.#retry);
    try {
      if (this.#unsaved === null && !this.#queueBehind && this.#journal.usable) await this.#append();
      else await this.#replace(this.#unsaved ?? this.#last);
      if (this.#writeFault !== null)
        this.#options.log('info', 'the database can be written again', { revision: this.#persistedRevision });
      this.#writeFault = null;
      return true;
    } catch (error) {
      const fault = describeError(error);
      if (fault !== this.#writeFault)
        this.#options.log('error', `the database cannot be written, going on from memory: ${fault}`);
      this.#writeFault = fault;
      if (!this.#closed)
        this.#retry = setTimeout(
          () => unattended(this.#enqueue(), 'Writing the database again'),
          this.#options.retryMs,
        ).unref();
      return false;
    }
  }

  async #append(): Promise<void> {
    const { queue, ageingClock } = this.#options;
    const operations = queue.takeOperations();
    this.#queueBehind = true;
    if (operations === null) return this.#replace(this.#last!);
    await this.#journal.append({ entry: ++this.#entry, origin: queue.origin, time: ageingClock.seconds(), operations });
    this.#queueBehind = false;
  }

  async #replace(saved: Saved): Promise<void> {
    const bytes = this.#toBytes(saved);
    this.#onDisk = null;
    await this.#file.replace(bytes, this.#presentIsGood);
    // Where it stays, the database is written once more instead of appending to it.
    await this.#journal
      .rotate()
      .catch((error: unknown) => this.#options.log('warn', `the journal stays: ${describeError(error)}`));
    this.#presentIsGood = true;
    this.#onDisk = saved;
    this.#bytes = bytes.byteLength;
    this.#persistedRevision = heldRevision(saved.state);
    this.#queueBehind = false;
    if (this.#unsaved === saved) this.#unsaved = null;
    this.#options.afterWrite();
  }

  #toBytes({ state, keys }: Saved): Uint8Array {
    const { variantOf, agentVersion, facts, queue, ageingClock } = this.#options;
    const now = Math.floor(this.#options.now() / 1000);
    this.#database ??= createDatabase(this.#sql!);
    queue.takeOperations();
    this.#queueBehind = true;
    try {
      return toBytes(this.#database, {
        state,
        keys,
        variantOf,
        agentVersion,
        registeredFacts: facts.registered?.jws ?? null,
        queue,
        entry: ++this.#entry,
        time: ageingClock.keep(),
        now,
      });
    } catch (error) {
      // `state` and `queue` are all that is needed for a new database; the next attempt makes one.
      this.#database.close();
      this.#database = null;
      throw error;
    }
  }

  status(): StoreStatus {
    return {
      source: this.#source,
      faults: [...this.#faults],
      persistedRevision: this.#persistedRevision,
      bytes: this.#bytes,
      writeFault: this.#writeFault,
    };
  }

  /** Writes what is not yet written, once, and frees the database. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    // An append that is under way is in the journal only when it is over.
    await this.#queue;
    // The file is whole by itself then: what waited in the journal, or for a better reason to be written, is in it.
    const whole = this.#last === this.#onDisk && this.#journal.isEmpty && !this.#options.queue.changed;
    if (!whole) this.#unsaved ??= this.#last;
    await this.#enqueue();
    clearTimeout(this.#retry);
    this.#database?.close();
    this.#database = null;
  }
}
