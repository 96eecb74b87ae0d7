/** The options of a store of the vehicle's state, and what it gives. */
import type { KeptDrive } from '../activation/kept-drive.ts';
import type { KnownGoodCopy } from '../activation/known-good.ts';
import type { KnownFacts } from '../facts/known-facts.ts';
import type { Log } from '../log.ts';
import type { HeldFlag, StoredVariant, VehicleState } from '../state.ts';
import type { LifetimeCounts } from '../telemetry/lifetime-counts.ts';
import type { MetricQueue } from '../telemetry/metrics/metric-queue.ts';
import type { AgeingClock } from '../trust/ageing-clock.ts';
import type { PinnedKeys } from '../trust/pinned-keys.ts';
import type { Refusal } from '../trust/refusals.ts';
import type { FileSystem, Generation } from './files/durable-file.ts';

/** The options of a store. */
export interface VehicleStoreOptions {
  readonly path: string;
  readonly files: FileSystem;
  readonly log: Log;
  /** The vehicle's clock, in milliseconds since 1970. */
  readonly now: () => number;
  readonly refuse: (refusal: Refusal) => void;
  /** A source of random numbers, uniform in [0, 1). */
  readonly random: () => number;
  readonly variantOf: (flag: HeldFlag, state: VehicleState) => StoredVariant;
  readonly agentVersion: string;
  /** The milliseconds until the store retries a failed write. */
  readonly retryMs: number;
  readonly afterWrite: () => void;
  /** The metrics queue, which is stored in the same file and the journal beside it. */
  readonly queue: MetricQueue;
  /** The vehicle's facts; the registered ones are stored in the same file. */
  readonly facts: KnownFacts;
  /** The counts of the vehicle's life, which are stored in the same file. */
  readonly lifetime: LifetimeCounts;
  /** Gives the drive, which is stored in the same file; null before it is known. */
  readonly drive: () => KeptDrive | null;
  /** Gives the last known goods, which are stored in the same file. */
  readonly knownGood: () => KnownGoodCopy;
  /** The ageing clock, whose time is stored in the same file. */
  readonly ageingClock: AgeingClock;
}

/** The source of a loaded state: a generation of the file, or none. */
export type StoreSource = Generation | 'empty';

/** The status of a store. */
export interface StoreStatus {
  readonly source: StoreSource;
  /** The faults of the file at the start; empty where there were none. */
  readonly faults: readonly string[];
  /** The revision that a power cut now would leave. */
  readonly persistedRevision: number;
  /** The size of the last database that was written or read, in bytes. */
  readonly bytes: number;
  /** The reason why the last write failed; null where it did not. */
  readonly writeFault: string | null;
}

/** A state that was loaded, with the keys by which it was verified. */
export interface LoadedState {
  readonly state: VehicleState;
  /** The drive in which the agent was when the file was written; null where it is not known. */
  readonly drive: KeptDrive | null;
  /** The last known goods; null where there is no file. */
  readonly knownGood: KnownGoodCopy | null;
  /** The keys to trust; null where none are known yet, so that nothing can be verified. */
  readonly keys: PinnedKeys | null;
}
