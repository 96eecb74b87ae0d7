import type { MetricQueue } from '../telemetry/metrics/metric-queue.ts';
import type { HeldFlag, StoredVariant, VehicleState } from '../state.ts';
import type { KeptTime } from '../trust/ageing-clock.ts';
import type { PinnedKeys } from '../trust/pinned-keys.ts';

/** All that a database is to hold. */
export interface DatabaseContent {
  readonly state: VehicleState;
  readonly keys: PinnedKeys;
  readonly variantOf: (flag: HeldFlag, vin: string) => StoredVariant;
  readonly agentVersion: string;
  /** The signed facts that are registered of this vehicle; null where they are not known. */
  readonly registeredFacts: string | null;
  readonly queue: MetricQueue;
  /** Of the last journal entry that `queue` contains. */
  readonly entry: number;
  /** The time by which flags age. */
  readonly time: KeptTime;
  /** Unix seconds, by the vehicle's clock. */
  readonly now: number;
}
