/**
 * Persists the vehicle's state as an SQLite database that is held in memory and written to a file in two generations. A
 * journal holds the changes of the metrics queue since the last write.
 */
import initSqlJs, { type Database, type SqlJsStatic } from 'sql.js';
import { isLackOfRoom } from '../../core/caught-error.ts';
import { unattended } from '../../core/last-handler/unattended.ts';
import { describeError } from '../log.ts';
import { emptyState, heldRevision, type VehicleIdentity, type VehicleState } from '../state.ts';
import type { QueueCopy } from '../backup/backup-content.ts';
import { verifyFacts } from '../facts/verify-facts.ts';
import { gapOfStart } from '../telemetry/metrics/metric-queue.ts';
import { readQueue } from '../telemetry/metrics/metric-rows.ts';
import { lastContact } from '../sync/apply.ts';
import type { PinnedKeys } from '../trust/pinned-keys.ts';
import { asRefusal, type Refusal } from '../trust/refusals.ts';
import { DurableFile, type Generation } from './files/durable-file.ts';
import { readFacts } from './rows/facts-row.ts';
import { readLifetime } from './rows/lifetime-row.ts';
import { QueueJournal } from './queue-journal.ts';
import { readHeader, readState } from './rows/state-rows.ts';
import { createDatabase, openVehicleDatabase, toBytes } from './vehicle-database.ts';
import type { LoadedState, StoreSource, StoreStatus, VehicleStoreOptions } from './vehicle-store-options.ts';
import { canWait } from './worth-a-write.ts';

/** The gap in the numbers of entries after a loss: far more than a journal has. */
const ENTRY_GAP = 1_000_000;

interface Saved {
  readonly state: VehicleState;
  readonly keys: PinnedKeys;
}

/** The parts that are on disk after a write. */
interface Written {
  readonly state: boolean;
  readonly queue: boolean;
}

/** Loads and saves the vehicle's state. */
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
  /** False while the present file is known to be damaged, so that it must not replace a good `.previous`. */
  #presentIsGood = true;
  #unsaved: Saved | null = null;
  /** The state that was loaded or saved last. */
  #last: Saved | null = null;
  /** The state that the present file holds completely; null where that is not certain. */
  #onDisk: Saved | null = null;
  /** The number of the last journal entry or write of the database. */
  #entry = 0;
  /** Whether taken operations of the queue are not on disk, so that the journal must not go on without them. */
  #queueBehind = false;
  /** Whether the queue did not come from a file, so that a backup may have more. */
  #lacksQueue = true;
  /** The counts of the vehicle's life that the file holds, as JSON. */
  #lifetimeOnDisk = '';
  #retry: NodeJS.Timeout | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(options: VehicleStoreOptions) {
    this.#options = options;
    this.#file = new DurableFile(options.path, options.files);
    this.#journal = new QueueJournal(`${options.path}.queue`, options.files);
  }

  /**
   * Loads the newest generation that is usable and belongs to this vehicle. Never rejects for the content of the file.
   *
   * @param identity the vehicle's identity; null where the token cannot be read, which accepts the identity in the file
   * @param configuredKeys the keys to trust instead of the stored ones; null for the stored ones
   * @returns null where neither the token nor a file says which vehicle this is
   */
  async load(identity: VehicleIdentity | null, configuredKeys: PinnedKeys | null): Promise<LoadedState | null> {
    this.#sql = await initSqlJs();
    for (const generation of ['current', 'previous'] as const) {
      try {
        const loaded = await this.#loadGeneration(generation, identity, configuredKeys);
        if (loaded !== null) return loaded;
      } catch (error) {
        if (generation === 'current') this.#presentIsGood = false;
        this.#fault(`cannot use the ${generation} database: ${describeError(error)}`);
      }
    }
    return identity === null
      ? null
      : { state: emptyState(identity), drive: null, knownGood: null, keys: configuredKeys };
  }

  async #loadGeneration(
    generation: Generation,
    identity: VehicleIdentity | null,
    configuredKeys: PinnedKeys | null,
  ): Promise<LoadedState | null> {
    const bytes = await this.#file.read(generation);
    if (bytes === null) return null;
    const database = openVehicleDatabase(this.#sql!, bytes);
    try {
      const header = await readHeader(database);
      if (
        identity !== null &&
        (header.identity.vin !== identity.vin || header.identity.environment !== identity.environment)
      ) {
        throw new Error(`it is the database of ${header.identity.vin} in ${header.identity.environment}`);
      }
      const keys = configuredKeys ?? header.pinnedKeys;
      if (keys === null) throw new Error('it has no pinned keys');
      const faultsBefore = this.#faults.length;
      const refuse = (refusal: Refusal) => {
        this.#options.refuse(refusal);
        this.#fault(`${refusal.message} in the ${generation} database`);
      };
      const { state, time, drive, knownGood } = await readState(database, header.identity, keys, refuse);
      const { ageingClock } = this.#options;
      if (time !== null) ageingClock.resume(time);
      // It cannot be earlier now than it was when the flags were last proven.
      ageingClock.resumeAt(lastContact(state));
      await this.#loadFacts(database, header.identity.vin, keys, refuse);
      this.#loadLifetime(database);
      await this.#loadQueue(database, generation);
      this.#last = { state, keys };
      this.#onDisk = generation === 'current' && this.#faults.length === faultsBefore ? this.#last : null;
      this.#database = database;
      this.#source = generation;
      this.#bytes = bytes.byteLength;
      this.#persistedRevision = heldRevision(state);
      return { state, drive, knownGood, keys };
    } catch (error) {
      database.close();
      throw error;
    }
  }

  /** Loads the registered facts. Facts that do not verify are dropped, and requested again. */
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
      refuse(asRefusal(error, 'registered facts'));
    }
  }

  #loadLifetime(database: Database): void {
    const { lifetime } = this.#options;
    const stored = readLifetime(database);
    if (stored !== null) lifetime.restore(stored);
    this.#lifetimeOnDisk = JSON.stringify(stored ?? lifetime.totals());
  }

  /** Loads the metrics queue. A queue that cannot be read is dropped, because the flags matter more. */
  async #loadQueue(database: Database, generation: Generation): Promise<void> {
    const { queue, ageingClock } = this.#options;
    try {
      const stored = readQueue(database);
      if (stored === null) return;
      const { origin, rows, inBatch, nextId } = stored;
      const later = await this.#journal.readAfter(origin, stored.entry);
      const lost = generation === 'previous' || later.incomplete;
      const gap = gapOfStart(this.#options.random);
      queue.restore(origin, rows, inBatch, nextId, later.operations, gap, stored.sealedId);
      this.#lacksQueue = false;
      ageingClock.resumeAt(later.time);
      // Entries that were written after the lost ones must not be taken for their successors.
      this.#entry = later.entry + (lost ? ENTRY_GAP : 0);
    } catch (error) {
      this.#fault(
        `cannot use the metrics queue in the ${generation} database; its measurements are lost: ${describeError(error)}`,
      );
    }
  }

  #fault(message: string): void {
    this.#faults.push(message);
    this.#options.log('error', message);
  }

  /**
   * Saves `state`. Resolves to whether it is on disk; never rejects. The store retries a failed write until it succeeds
   * or a newer state replaces it. A state that adds nothing but a later contact may wait for the next write
   * (worth-a-write.ts).
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
    return this.#saveState();
  }

  /** Saves `state` like `save`, and writes it where it is on disk already, so that both generations come to have it. */
  saveWhole(state: VehicleState, keys: PinnedKeys): Promise<boolean> {
    this.#unsaved = this.#last = { state, keys };
    return this.#saveState();
  }

  /** Saves the registered facts, like `save`. Before there is a state, which names the vehicle, nothing is saved. */
  saveFacts(): Promise<boolean> {
    if (this.#last === null) return Promise.resolve(false);
    this.#unsaved ??= this.#last;
    return this.#saveState();
  }

  /** Saves the metrics queue, like `save`. Before there is a state, which names the vehicle, nothing is saved. */
  async saveQueue(): Promise<boolean> {
    return this.#last !== null && (await this.#enqueue()).queue;
  }

  /** Whether the queue did not come from a file, nor from a backup. */
  get lacksQueue(): boolean {
    return this.#lacksQueue;
  }

  /**
   * Restores the queue from a backup; null where there is none. Its rows come before those that were added since the
   * start, none of which may be in a batch. The next save writes them.
   */
  adoptQueue(copy: QueueCopy | null): void {
    this.#lacksQueue = false;
    if (copy === null) return;
    const { queue, random } = this.#options;
    const { origin, rows, inBatch, nextId } = copy;
    // The vehicle may have sent these rows since, as they are here.
    queue.restore(origin, rows, inBatch, nextId + gapOfStart(random), [], 0, nextId - 1);
    this.#queueBehind = true;
    // A journal that outlived its database has entries of the same origin, which must not be taken for later ones.
    this.#entry = ENTRY_GAP * (1 + Math.floor(random() * ENTRY_GAP));
  }

  async #saveState(): Promise<boolean> {
    return (await this.#enqueue()).state;
  }

  #enqueue(): Promise<Written> {
    const done = this.#queue.then(() => this.#write());
    this.#queue = done;
    return done;
  }

  async #write(): Promise<Written> {
    // This is checked now, because a write that ran when the save was requested did not have all of the queue.
    const queueChanged = this.#queueBehind || this.#options.queue.changed;
    if (this.#last === null || (this.#unsaved === null && !queueChanged)) {
      const isWritten = this.#writeFault === null;
      return { state: isWritten, queue: isWritten };
    }
    clearTimeout(this.#retry);
    try {
      if (this.#unsaved === null && !this.#queueBehind && this.#journal.usable) await this.#append();
      else await this.#replace(this.#unsaved ?? this.#last);
      if (this.#writeFault !== null)
        this.#options.log('info', 'can write the database again', { revision: this.#persistedRevision });
      this.#writeFault = null;
      return { state: true, queue: true };
    } catch (error) {
      const fault = describeError(error);
      if (fault !== this.#writeFault)
        this.#options.log('error', `cannot write the database; going on from memory and trying again: ${fault}`);
      this.#writeFault = fault;
      const state = this.#unsaved === null || (isLackOfRoom(error) && (await this.#replaceAlone(this.#unsaved)));
      if (!this.#closed)
        this.#retry = setTimeout(
          () => unattended(this.#enqueue(), 'Writing the database again'),
          this.#options.retryMs,
        ).unref();
      return { state, queue: false };
    }
  }

  /**
   * Writes a state without the measurements, which may take the room that the flags need: a kill switch has to outlive
   * a power cut. The measurements stay in memory. Resolves to whether the state is on disk.
   */
  async #replaceAlone(saved: Saved): Promise<boolean> {
    try {
      await this.#replace(saved, true);
      this.#options.log('warn', 'wrote the flags without the measurements, for which there is no room');
      return true;
    } catch {
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

  async #replace(saved: Saved, omitsMeasurements = false): Promise<void> {
    const lifetime = JSON.stringify(this.#options.lifetime.totals());
    const bytes = this.#toBytes(saved, omitsMeasurements);
    this.#onDisk = null;
    await this.#file.replace(bytes, this.#presentIsGood);
    // Where the old journal cannot be renamed, the next save writes the database instead of appending.
    await this.#journal
      .rotate()
      .catch((error: unknown) =>
        this.#options.log(
          'warn',
          `cannot start a new metrics journal; writing the whole database instead: ${describeError(error)}`,
        ),
      );
    this.#presentIsGood = true;
    this.#lifetimeOnDisk = lifetime;
    this.#onDisk = saved;
    this.#bytes = bytes.byteLength;
    this.#persistedRevision = heldRevision(saved.state);
    this.#queueBehind = omitsMeasurements;
    if (this.#unsaved === saved) this.#unsaved = null;
    this.#options.afterWrite();
  }

  #toBytes({ state, keys }: Saved, omitsMeasurements: boolean): Uint8Array {
    const { variantOf, agentVersion, facts, queue, ageingClock, lifetime, drive, knownGood } = this.#options;
    const now = Math.floor(this.#options.now() / 1000);
    this.#database ??= createDatabase(this.#sql!);
    queue.takeOperations();
    this.#queueBehind = true;
    try {
      return toBytes(this.#database, {
        state,
        drive: drive(),
        knownGood: knownGood(),
        keys,
        variantOf,
        agentVersion,
        registeredFacts: facts.registered?.jws ?? null,
        lifetime: lifetime.totals(),
        queue,
        omitsMeasurements,
        entry: ++this.#entry,
        time: ageingClock.keep(),
        now,
      });
    } catch (error) {
      // The next attempt makes a new database, for which `state` and `queue` are enough.
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

  /** Writes unsaved changes, with one attempt, and frees the database. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    // A running append is in the journal only when it has ended.
    await this.#queue;
    // After this write, the file alone holds everything, including the journal and changes that waited for a write.
    const { queue, lifetime } = this.#options;
    const whole =
      this.#last === this.#onDisk &&
      this.#journal.isEmpty &&
      !queue.changed &&
      JSON.stringify(lifetime.totals()) === this.#lifetimeOnDisk;
    if (!whole) this.#unsaved ??= this.#last;
    await this.#enqueue();
    clearTimeout(this.#retry);
    this.#database?.close();
    this.#database = null;
  }
}
