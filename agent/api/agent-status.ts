/**
 * The status of a running agent, as `GET /v1/status` shows it to operators.
 */
import type { Environment } from '../../core/model.ts';
import type { FaultStatus } from '../faults/vehicle-faults.ts';
import type { FactDifference, KnownFacts, VehicleFacts } from '../facts/known-facts.ts';
import type { LocalFlagsStatus } from '../local-flags/local-flags.ts';
import type { LifetimeTotals } from '../telemetry/lifetime-counts.ts';
import type { DroppedMetrics } from '../telemetry/metrics/metric-queue.ts';
import type { ChangeOver } from '../activation/change-over.ts';
import type { DriveStatus } from '../activation/change-over-options.ts';
import type { KnownGoodStatus } from '../activation/known-good.ts';
import type { VehicleStore } from '../store/vehicle-store.ts';
import type { StoreStatus } from '../store/vehicle-store-options.ts';
import { boundPartition } from '../trust/binding.ts';
import type { RefusalReason } from '../trust/refusals.ts';
import type { AgeingClock } from '../trust/ageing-clock.ts';
import type { PinnedKeys } from '../trust/pinned-keys.ts';
import type { CompleteAgentOptions } from '../assembly/agent-options.ts';
import type { GatewayConnection } from '../link/gateway-connection.ts';
import { heldRevision, type VehicleState } from '../state.ts';
import { lastContact } from '../sync/apply.ts';
import { AGENT_VERSION } from '../version.ts';

/** The status of the last proof. */
export interface ProofStatus {
  readonly revision: number;
  /** The time of the proof in ISO 8601, by the control plane's clock. */
  readonly issuedAt: string;
  /** The digest of the set; null for a statement that an older agent has stored. */
  readonly set: string | null;
  /**
   * Whether the vehicle still holds that set: no other one was proven for this revision, and the file is not damaged.
   */
  readonly held: boolean;
}

/** The status of an agent. */
export interface AgentStatus {
  readonly version: string;
  /** The vehicle's VIN; null until a token or a database names it. */
  readonly vin: string | null;
  readonly environment: Environment | null;
  /** The partition that is proven to be this vehicle's: its model or `*`; null until one is proven. */
  readonly partition: string | null;
  /** Whether flags can be evaluated. */
  readonly ready: boolean;
  readonly connected: boolean;
  /** The reason why the last attempt to connect failed; null while there is a connection. */
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
  /** The state of the vehicle as programs report it, and the flags whose changes wait for the end of the drive. */
  readonly drive: DriveStatus;
  /** The flags that have a last known good, and those that have gone back to it. */
  readonly lastKnownGood: KnownGoodStatus;
  readonly cacheBytes: number;
  /**
   * The measurements and evaluation counts that wait to be sent, and those dropped for lack of room since the start.
   */
  readonly metrics: { readonly queued: number; readonly dropped: DroppedMetrics };
  /**
   * The faults of this vehicle under its flags: those that the agent has seen, and those that programs have reported.
   */
  readonly faults: FaultStatus;
  /** The resident memory of the process, in bytes. */
  readonly memoryBytes: number;
  /** The ids of the keys that are trusted. */
  readonly pinnedKeys: readonly string[];
  /** The number of refusals since the start, by reason. */
  readonly refusals: Partial<Record<RefusalReason, number>>;
  /** The same counts since the vehicle's first start, over restarts and over the loss of the database. */
  readonly lifetime: LifetimeTotals;
  /** The number of log lines that could not be written since the start (a full disk, or no reader). */
  readonly lostLogLines: number;
  /** The number of evaluation events since the start that were dropped, because there were too many within a second. */
  readonly droppedEvaluationEvents: number;
  readonly store: Omit<StoreStatus, 'bytes' | 'persistedRevision'>;
  /** The file of flags that this agent was given for tests; null for none. A vehicle on the road must have none. */
  readonly localFlags: LocalFlagsStatus | null;
}

/** The parts of an agent that its status describes. */
export interface StatusParts {
  readonly options: Pick<CompleteAgentOptions, 'vin' | 'lostLogLines'>;
  readonly state: VehicleState | null;
  readonly keys: PinnedKeys | null;
  readonly isReady: boolean;
  readonly connection: Pick<GatewayConnection, 'connected' | 'fault'>;
  readonly store: ReturnType<VehicleStore['status']>;
  readonly localFlags: LocalFlagsStatus | null;
  readonly changeOver: Pick<ChangeOver, 'status' | 'knownGoodStatus'>;
  /** The number of flags that give their safe defaults because of their age. */
  readonly staleFlags: number;
  /** The number of flags that can be evaluated, those of a file included. */
  readonly flagCount: number;
  readonly facts: KnownFacts;
  readonly ageingClock: AgeingClock;
  readonly metrics: AgentStatus['metrics'];
  readonly refusals: AgentStatus['refusals'];
  readonly droppedEvaluationEvents: number;
  readonly lifetime: LifetimeTotals;
  readonly faults: FaultStatus;
}

/** Composes the status of an agent from its parts. */
export function composeStatus(parts: StatusParts): AgentStatus {
  const { options, state, isReady, connection, localFlags, facts, ageingClock } = parts;
  const { bytes, persistedRevision, ...store } = parts.store;
  const flags = [...(state?.flags.values() ?? [])];
  return {
    version: AGENT_VERSION,
    vin: state?.identity.vin ?? options.vin,
    environment: state?.identity.environment ?? null,
    partition: state === null ? null : boundPartition(state),
    ready: isReady,
    connected: connection.connected,
    connectionFault: connection.fault,
    revision: persistedRevision,
    evaluatedRevision: state === null ? (localFlags?.revision ?? 0) : heldRevision(state),
    lastSyncAt: isoTime(state?.lastSyncAt),
    // Without flags, only the proof that there are none has an age.
    lastStatementAt: isoTime(flags.length === 0 ? state?.proof?.issuedAt : state === null ? 0 : lastContact(state)),
    proof: proofStatus(state),
    clockOffsetSeconds: ageingClock.differenceSeconds,
    syncCount: state?.syncCount ?? 0,
    flags: localFlags === null ? flags.length : parts.flagCount,
    staleFlags: parts.staleFlags,
    unservedFlags: flags.filter(({ held }) => held.fault !== null).map(({ key }) => key),
    vehicle: {
      ...facts.facts,
      registeredAt: isoTime(Math.floor((facts.confirmedAt ?? 0) / 1000)),
      differences: facts.differences(),
    },
    drive: parts.changeOver.status(),
    lastKnownGood: parts.changeOver.knownGoodStatus(),
    cacheBytes: bytes,
    metrics: parts.metrics,
    faults: parts.faults,
    memoryBytes: process.memoryUsage.rss(),
    pinnedKeys: parts.keys?.keys.map(({ kid }) => kid) ?? [],
    refusals: parts.refusals,
    lifetime: parts.lifetime,
    lostLogLines: options.lostLogLines(),
    droppedEvaluationEvents: parts.droppedEvaluationEvents,
    store,
    localFlags,
  };
}

function proofStatus(state: VehicleState | null): AgentStatus['proof'] {
  const proof = state?.proof ?? null;
  return proof === null
    ? null
    : {
        revision: proof.revision,
        issuedAt: new Date(proof.issuedAt * 1000).toISOString(),
        set: proof.set,
        held: state!.complete,
      };
}

function isoTime(seconds: number | undefined): string | null {
  return seconds === undefined || seconds === 0 ? null : new Date(seconds * 1000).toISOString();
}
