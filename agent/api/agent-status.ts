/**
 * What an operator can ask of a running agent: `GET /v1/status`.
 */
import type { Environment } from '../../core/model.ts';
import type { FactDifference, VehicleFacts } from '../facts/known-facts.ts';
import type { LocalFlagsStatus } from '../local-flags/local-flags.ts';
import type { DroppedMetrics } from '../telemetry/metrics/metric-queue.ts';
import type { StoreStatus } from '../store/vehicle-store.ts';
import type { RefusalReason } from '../trust/refusals.ts';

export interface ProofStatus {
  readonly revision: number;
  /** ISO 8601, by the control plane's clock. */
  readonly issuedAt: string;
  /** The digest of the set; null in a statement that an agent of before has stored. */
  readonly set: string | null;
  /** False where the control plane has said meanwhile that this revision is another set, or the file is damaged. */
  readonly held: boolean;
}

export interface AgentStatus {
  readonly version: string;
  /** Null until a token or a database says who this is. */
  readonly vin: string | null;
  readonly environment: Environment | null;
  /** Whether flags can be evaluated. */
  readonly ready: boolean;
  readonly connected: boolean;
  /** Why there is no connection, as the last attempt found; null while there is one. */
  readonly connectionFault: string | null;
  /** The revision on disk: what the vehicle would have after a power cut now. */
  readonly revision: number;
  /** The revision that is evaluated; beyond `revision` only while the database cannot be written. */
  readonly evaluatedRevision: number;
  /** ISO 8601, by the vehicle's clock; null: never. */
  readonly lastSyncAt: string | null;
  /** ISO 8601, by the control plane's clock: the flags are as fresh as this. */
  readonly lastStatementAt: string | null;
  /** The last proof whose set of flags was held; null: none yet. */
  readonly proof: ProofStatus | null;
  /** The control plane's clock less the vehicle's, in seconds, at the last contact; null: none since the start. */
  readonly clockOffsetSeconds: number | null;
  readonly syncCount: number;
  readonly flags: number;
  /** Flags past their TTL: they give their safe defaults. */
  readonly staleFlags: number;
  /** Keys of flags whose newest definition this version of the agent cannot serve: they give what they gave before. */
  readonly unservedFlags: readonly string[];
  /**
   * The facts by which flags are evaluated, and those that are registered otherwise. `registeredAt`: when the control
   * plane last said what is registered, since the start (ISO 8601, by the vehicle's clock); null: not yet.
   */
  readonly vehicle: VehicleFacts & {
    readonly registeredAt: string | null;
    readonly differences: readonly FactDifference[];
  };
  readonly cacheBytes: number;
  /** Measurements and evaluation counts that wait to be sent, and what there was no room for since the start. */
  readonly metrics: { readonly queued: number; readonly dropped: DroppedMetrics };
  /** Resident memory of the process. */
  readonly memoryBytes: number;
  /** Ids of the keys that are trusted. */
  readonly pinnedKeys: readonly string[];
  /** How often something was not believed since the start, by reason. */
  readonly refusals: Partial<Record<RefusalReason, number>>;
  /** Lines of the log that could not be written since the start: a full disk, or nobody who reads. */
  readonly lostLogLines: number;
  readonly store: Omit<StoreStatus, 'bytes' | 'persistedRevision'>;
  /** The file of flags that this agent was given for tests; null: none, as it has to be in a vehicle on the road. */
  readonly localFlags: LocalFlagsStatus | null;
}
