import type { KeptDrive } from '../activation/kept-drive.ts';
import type { KnownGoodCopy } from '../activation/known-good.ts';
import type { LifetimeTotals } from '../telemetry/lifetime-counts.ts';
import type { MetricQueue } from '../telemetry/metrics/metric-queue.ts';
import type { HeldFlag, StoredVariant, VehicleState } from '../state.ts';
import type { KeptTime } from '../trust/ageing-clock.ts';
import type { PinnedKeys } from '../trust/pinned-keys.ts';

/** The complete content of a database. */
export interface DatabaseContent {
  readonly state: VehicleState;
  /** The drive; null before it is known. */
  readonly drive: KeptDrive | null;
  /** The last known goods. */
  readonly knownGood: KnownGoodCopy;
  readonly keys: PinnedKeys;
  readonly variantOf: (flag: HeldFlag, state: VehicleState) => StoredVariant;
  readonly agentVersion: string;
  /** The signed registered facts of this vehicle; null where they are not known. */
  readonly registeredFacts: string | null;
  /** The counts of the vehicle's life. */
  readonly lifetime: LifetimeTotals;
  readonly queue: MetricQueue;
  /** Whether the rows of `queue` are left out. */
  readonly omitsMeasurements: boolean;
  /** The number of the last journal entry that `queue` contains. */
  readonly entry: number;
  /** The time of the ageing clock. */
  readonly time: KeptTime;
  /** The present time in Unix seconds, by the vehicle's clock. */
  readonly now: number;
}
