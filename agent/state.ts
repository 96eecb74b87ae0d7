/**
 * The state of a vehicle: one immutable value that sync replaces, the store persists and evaluation reads.
 */
import type { Environment, FlagDefinition } from '../core/model.ts';
import type { Scope } from '../core/partitions/partition.ts';

/** The identity of a vehicle, as its token names it. */
export interface VehicleIdentity {
  readonly vin: string;
  readonly environment: Environment;
}

/** A flag's signed definition whose signature has been verified. */
export interface VerifiedDefinition {
  readonly revision: number;
  /** The compact JWS. */
  readonly jws: string;
  /** The `jwsDigest` of the JWS, which goes into the digest of a set. */
  readonly digest: string;
  /** The definition in it; null where this version of the agent cannot read it. */
  readonly definition: FlagDefinition | null;
  /** The reason why this version of the agent cannot serve it; null where it can. */
  readonly fault: string | null;
  /** Whether that reason is a value outside the definition's own contract. */
  readonly outsideContract: boolean;
  /**
   * Whether the flag is killed or disabled. Every version can read that much of any definition, and it takes effect
   * before the set is complete.
   */
  readonly settled: boolean;
  /** The models that get the flag; null for every vehicle. */
  readonly scope: Scope;
}

/** The definition that a flag served before one that cannot be served. */
export interface FormerDefinition {
  /** The last definition that can be served. */
  readonly signed: VerifiedDefinition;
  /** Whether a later definition that cannot be served has disabled the flag. */
  readonly disabled: boolean;
}

/** The definition by which a flag is evaluated. */
export interface ServedDefinition {
  readonly definition: FlagDefinition;
  /** The revision of the signed definition from which it comes. */
  readonly revision: number;
  /** An id that is the same for the same content. */
  readonly id: string;
}

/** The definition that a flag which serves its last known good has left. */
export interface ReturnedFrom {
  /** The last known good, as it was when it was active. */
  readonly good: HeldFlag;
  /** The definition that is left. Its dependencies count. */
  readonly signed: VerifiedDefinition;
  /** Whether its content in this vehicle was the new one of a release. */
  readonly isNext: boolean;
}

/** A flag that the vehicle holds. */
export interface HeldFlag {
  readonly key: string;
  /** The definition that belongs to the set at the state's revision. */
  readonly held: VerifiedDefinition;
  /** The definition that stays in effect where `held` cannot be served. */
  readonly former: FormerDefinition | null;
  /** A kill switch or disabling of a later revision, which takes effect before its set is complete. */
  readonly ahead: VerifiedDefinition | null;
  /** The definition that results from all of these; null where none can be served. */
  readonly served: ServedDefinition | null;
  /** Present where this is no definition that the vehicle holds, but the last known good to which it went back. */
  readonly from?: ReturnedFrom;
  /** The time of the last verified contact in Unix seconds, by the control plane's clock; 0 before the first. */
  readonly cachedAt: number;
  readonly ttlSeconds: number;
}

/** The variants that the `variant` column can hold (database specification, section 3). */
export type StoredVariant = 'control' | 'treatment' | 'enabled';

/** A verified proof that the environment stood at `revision` and had the set `set` at `issuedAt` (Unix seconds). */
export interface VerifiedProof {
  readonly jws: string;
  readonly revision: number;
  readonly issuedAt: number;
  /** The digest of the set; null for a statement that an older agent has stored, which names no set. */
  readonly set: string | null;
  /** The nonce of the request that it answers; null where there was none. */
  readonly nonce: string | null;
  /** The partition of which it is the set; null in the form that is older than partitions. */
  readonly partition: string | null;
  /** The VIN of the vehicle to which it assigns the partition; null where it assigns none. */
  readonly vin: string | null;
}

/**
 * The partition that a vehicle is bound to. It follows from a proof with this vehicle's VIN and the nonce of its own
 * request, and from nothing else.
 */
export interface Assignment {
  readonly partition: string;
  /** The compact JWS of that proof, which is verified again at each start. */
  readonly jws: string;
}

/**
 * The flags that keep another definition than the one that the vehicle holds until the end of the drive, by key; null
 * where the flag stays away until then. Source: releases.md, "Activation".
 */
export type Latches = ReadonlyMap<string, HeldFlag | null>;

/** The latches of a vehicle that has changed over completely. */
export const NO_LATCHES: Latches = new Map();

/** The return of a flag to its last known good. */
export interface GoodReturn {
  /** The flag as it is from then on. It has `from`. */
  readonly flag: HeldFlag;
  /** The digest of the content that is left. The return ends with other content. */
  readonly content: string;
  readonly cause: ReturnCause;
  /** The Unix seconds of the return, by the ageing clock. */
  readonly at: number;
}

/**
 * The causes of a return: a program has reported a fatal fault, or the agent has started three times after a change.
 */
export const RETURN_CAUSES = ['fatal', 'restarts'] as const;
/** The cause of a return. */
export type ReturnCause = (typeof RETURN_CAUSES)[number];

/** The flags that serve their last known good in place of what the vehicle holds, by key. */
export type GoodReturns = ReadonlyMap<string, GoodReturn>;

/** The returns of a vehicle that serves all that it holds. */
export const NO_RETURNS: GoodReturns = new Map();

/** The state of a vehicle. */
export interface VehicleState {
  readonly identity: VehicleIdentity;
  /** The partition that this vehicle is bound to; null until one is proven. */
  readonly assignment: Assignment | null;
  /** The revision whose set was applied last. It never falls. */
  readonly revision: number;
  /**
   * Whether the flags are the set of `revision`. A damaged file or a later proof of the control plane makes it false.
   */
  readonly complete: boolean;
  /** The last proof whose set the vehicle held; null before the first. */
  readonly proof: VerifiedProof | null;
  readonly flags: ReadonlyMap<string, HeldFlag>;
  readonly latches: Latches;
  readonly returns: GoodReturns;
  /** The time of the last applied sync in Unix seconds; 0 before the first. */
  readonly lastSyncAt: number;
  readonly syncCount: number;
}

/** Gives the state of a vehicle that has never synced. */
export function emptyState(identity: VehicleIdentity): VehicleState {
  return {
    identity,
    assignment: null,
    revision: 0,
    complete: false,
    proof: null,
    flags: new Map(),
    latches: NO_LATCHES,
    returns: NO_RETURNS,
    lastSyncAt: 0,
    syncCount: 0,
  };
}

/** Gives the revision whose set the vehicle holds; 0 where it holds none. */
export function heldRevision(state: VehicleState): number {
  return state.complete ? state.revision : 0;
}

/**
 * Says whether a flag is past its TTL, or was never proven fresh, which a clock in January 1970 must not hide.
 *
 * @param seconds the Unix seconds by the ageing clock
 */
export function isStale(flag: HeldFlag, seconds: number): boolean {
  return flag.cachedAt <= 0 || seconds - flag.cachedAt > flag.ttlSeconds;
}
