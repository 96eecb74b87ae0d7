/**
 * The status of a running agent, as `GET /v1/status` shows it to operators.
 */
import type { Environment } from '../../core/model.ts';
import type { FactDifference, VehicleFacts } from '../facts/known-facts.ts';
import type { LocalFlagsStatus } from '../local-flags/local-flags.ts';
import type { DroppedMetrics } from '../telemetry/metrics/metric-queue.ts';
import type { StoreStatus } from '../store/vehicle-store.ts';
import type { RefusalReason } from '../trust/refusals.ts';

/** The status of the last proof. */
export interface ProofStatus {
  readonly revision: number;
  /** The time of the proof in ISO 8601, by the control plane's clock. */
  readonly issuedAt: string;
  /** The digest of the set; null for a statement that an older agent has stored. */
  readonly set: string | null;
  /** False where the control plane has since named another set for this revision, or the database is damaged. */
  readonly held: boolean;
}

/** The status of an agent. */
export interface AgentStatus {
  readonly version: string;
  /** The vehicle's VIN; null until a token or a database names it. */
  readonly vin: string | null;
  readonly environment: Environment | null;
  /** Whether flags can be evaluated. */
  readonly ready: boolean;
  readonly connected: boolean;
  /** Why the last attempt to connect failed; null while there is a connection. */
  readonly connectionFault: string | null;
  /** The revision on disk, which the vehicle would have after a power cut now. */
  readonly revision: number;
  /** The revision that is evaluated. It is above `revision` only while the database cannot be written. */
  readonly evaluatedRevision: number;
  /** The time of the last sync in ISO 8601, by the vehicle's clock; null before the first. */
  readonly lastSyncAt: string | null;
  /** The time in ISO 8601 from which the age of the flags counts, by the control plane's clock. */
  readonly lastStatementAt: string | null;
  /** The last proof whose set of flags the vehicle held; null before the first. */
  readonly proof: ProofStatus | null;
  /**
   * The control plane's clock minus the vehicle's, in seconds, at the last contact; null before the first contact since
   * the start.
   */
  readonly clockOffsetSeconds: number | null;
  readonly syncCount: number;
  readonly flags: number;
  /** The number of flags that are past their TTL and give their safe defaults. */
  readonly staleFlags: number;
  /** The keys of flags whose newest definition this agent cannot serve; they keep their previous definition. */
  readonly unservedFlags: readonly string[];
  /**
   * The facts by which flags are evaluated, and those that are registered with other values. `registeredAt` is the time
   * in ISO 8601, by the vehicle's clock, at which the control plane last confirmed the registered facts; null where it
   * has not since the start.
   */
  readonly vehicle: VehicleFacts & {
    readonly registeredAt: string | null;
    readonly differences: readonly FactDifference[];
  };
  readonly cacheBytes: number;
  /**
   * The measurements and evaluation counts that wait to be sent, and those dropped for lack of room since the start.
   */
  readonly metrics: { readonly queued: number; readonly dropped: DroppedMetrics };
  /** The resident memory of the process, in bytes. */
  readonly memoryBytes: number;
  /** The ids of the keys that are trusted. */
  readonly pinnedKeys: readonly string[];
  /** The number of refusals since the start, by reason. */
  readonly refusals: Partial<Record<RefusalReason, number>>;
  /** The number of log lines that could not be written since the start (a full disk, or no reader). */
  readonly lostLogLines: number;
  readonly store: Omit<StoreStatus, 'bytes' | 'persistedRevision'>;
  /** The file of flags that this agent was given for tests; null for none. A vehicle on the road must have none. */
  readonly localFlags: LocalFlagsStatus | null;
}
