/**
 * The durable copy of the vehicle's state: an SQLite database in memory, kept as a file in two generations.
 */
import initSqlJs, { type Database, type SqlJsStatic } from 'sql.js';
import { describeError, type Log } from '../log.ts';
import { emptyState, type HeldFlag, type StoredVariant, type VehicleIdentity, type VehicleState } from '../state.ts';
import type { MetricQueue } from '../metrics/metric-queue.ts';
import { readQueue, writeQueue } from '../metrics/metric-rows.ts';
import type { PinnedKeys } from '../trust/pinned-keys.ts';
import type { Refusal } from '../trust/refusals.ts';
import { DurableFile, type FileSystem, type Generation } from './durable-file.ts';
import { applySettings, createTables, structureFault } from './schema.ts';
import { readHeader, readState, writeState } from './state-rows.ts';

export interface VehicleStoreOptions {
  readonly path: string;
  readonly files: FileSystem;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly refuse: (refusal: Refusal) => void;
  readonly variantOf: (flag: HeldFlag, vin: string) => StoredVariant;
  readonly agentVersion: string;
  /** Milliseconds until a write that failed is tried again. */
  readonly retryMs: number;
  readonly afterWrite: () => void;
  /** Is kept in the same file. */
  readonly queue: MetricQueue;
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

export class VehicleStore {
  readonly #options: VehicleStoreOptions;
  readonly #file: DurableFile;
  #sql: SqlJsStatic | null = null;
  #database: Database | null = null;
  #source: StoreSource = 'empty';
  readonly #faults: string[] = [];
  #persistedRevision = 0;
  #bytes = 0;
  #writeFault: string | null = null;
  /** False while the present file is known to be broken: it must not push a good `.previous` out. */
  #presentIsGood = true;
  #unsaved: { state: VehicleState; keys: PinnedKeys } | null = null;
  /** What was loaded or saved last: a write of the queue alone is made with it. */
  #last: { state: VehicleState; keys: PinnedKeys } | null = null;
  #persistedQueue = 0;
  #retry: NodeJS.Timeout | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(options: VehicleStoreOptions) {
    this.#options = options;
    this.#file = new DurableFile(options.path, options.files);
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

  async #loadGeneration(generation: Generation, identity: VehicleIdentity | null, configuredKeys: PinnedKeys | null): Promise<LoadedState | null> {
    const bytes = await this.#file.read(generation);
    if (bytes === null) return null;
    const database = new this.#sql!.Database(bytes);
    try {
      const fault = structureFault(database);
      if (fault !== null) throw new Error(fault);
      applySettings(database);
      const header = await readHeader(database);
      if (identity !== null && (header.identity.vin !== identity.vin || header.identity.environment !== identity.environment)) {
        throw new Error(`it belongs to ${header.identity.vin} in ${header.identity.environment}`);
      }
      const keys = configuredKeys ?? header.pinnedKeys;
      if (keys === null) throw new Error('it pins no keys');
      const refuse = (refusal: Refusal) => {
        this.#options.refuse(refusal);
        this.#fault(`${refusal.message} in the ${generation} database`);
      };
      const state = await readState(database, header.identity, keys, refuse);
      readQueue(database, this.#options.queue, generation === 'previous');
      this.#persistedQueue = this.#options.queue.version;
      this.#last = { state, keys };
      this.#database = database;
      this.#source = generation;
      this.#bytes = bytes.byteLength;
      this.#persistedRevision = state.revision;
      return { state, keys };
    } catch (error) {
      database.close();
      throw error;
    }
  }

  #fault(message: string): void {
    this.#faults.push(message);
    this.#options.log('error', message);
  }

  /**
   * Makes `state` durable. Resolves to whether it is on disk; never rejects. A failed write is tried again until it
   * succeeds or a newer state takes its place.
   */
  save(state: VehicleState, keys: PinnedKeys): Promise<boolean> {
    this.#unsaved = this.#last = { state, keys };
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
    if (this.#options.queue.version !== this.#persistedQueue) this.#unsaved ??= this.#last;
    const pending = this.#unsaved;
    if (pending === null) return this.#writeFault === null;
    clearTimeout(this.#retry);
    try {
      const { version } = this.#options.queue;
      const bytes = this.#toBytes(pending.state, pending.keys);
      await this.#file.replace(bytes, this.#presentIsGood);
      this.#presentIsGood = true;
      this.#bytes = bytes.byteLength;
      this.#persistedRevision = pending.state.revision;
      this.#persistedQueue = version;
      if (this.#unsaved === pending) this.#unsaved = null;
      if (this.#writeFault !== null) this.#options.log('info', 'the database can be written again', { revision: pending.state.revision });
      this.#writeFault = null;
      this.#options.afterWrite();
      return true;
    } catch (error) {
      const fault = describeError(error);
      if (fault !== this.#writeFault) this.#options.log('error', `the database cannot be written, going on from memory: ${fault}`);
      this.#writeFault = fault;
      if (!this.#closed) this.#retry = setTimeout(() => void this.#enqueue(), this.#options.retryMs).unref();
      return false;
    }
  }

  #toBytes(state: VehicleState, keys: PinnedKeys): Uint8Array {
    const now = Math.floor(this.#options.now() / 1000);
    if (this.#database === null) {
      this.#database = new this.#sql!.Database();
      createTables(this.#database, now);
      applySettings(this.#database);
    }
    try {
      writeState(this.#database, state, keys, this.#options.variantOf, this.#options.agentVersion, now);
      if (this.#options.queue.version > 0) writeQueue(this.#database, this.#options.queue, now);
    } catch (error) {
      // `state` is all that is needed for a new database; the next attempt makes one.
      this.#database.close();
      this.#database = null;
      throw error;
    }
    this.#database.run('PRAGMA incremental_vacuum');
    const bytes = this.#database.export();
    applySettings(this.#database);
    return bytes;
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
    await this.#enqueue();
    clearTimeout(this.#retry);
    this.#database?.close();
    this.#database = null;
  }
}
