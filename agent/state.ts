/**
 * The state of a vehicle: one immutable value that sync replaces, the store persists and evaluation reads.
 */
import type { Environment, FlagDefinition } from '../core/model.ts';

/** The identity of a vehicle, as its token names it. */
export interface VehicleIdentity {
  readonly vin: string;
  readonly environment: Environment;
}

/** A flag's signed definition whose signature has been verified. */
export interface SignedDefinition {
  readonly revision: number;
  /** The compact JWS. */
  readonly jws: string;
  /** The `jwsDigest` of the JWS, which goes into the digest of a set. */
  readonly digest: string;
  /** The definition in it; null where this version of the agent cannot read it. */
  readonly definition: FlagDefinition | null;
  /** Why this version of the agent cannot serve it; null where it can. */
  readonly fault: string | null;
  /**
   * Whether the flag is killed or disabled. Every version can read that much of any definition, and it takes effect
   * before the set is complete.
   */
  readonly settled: boolean;
}

/** The definition that a flag served before one that cannot be served. */
export interface FormerDefinition {
  /** The last definition that can be served. */
  readonly signed: SignedDefinition;
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

/** A flag that the vehicle holds. */
export interface HeldFlag {
  readonly key: string;
  /** The definition that belongs to the set at the state's revision. */
  readonly held: SignedDefinition;
  /** The definition that stays in effect where `held` cannot be served. */
  readonly former: FormerDefinition | null;
  /** A kill switch or disabling of a later revision, which takes effect before its set is complete. */
  readonly ahead: SignedDefinition | null;
  /** The definition that results from all of these; null where none can be served. */
  readonly served: ServedDefinition | null;
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
}

/** The state of a vehicle. */
export interface VehicleState {
  readonly identity: VehicleIdentity;
  /** The revision whose set was applied last. It never falls. */
  readonly revision: number;
  /** False where the flags are not the set of `revision`, by a damaged file or by the control plane's later proof. */
  readonly complete: boolean;
  /** The last proof whose set the vehicle held; null before the first. */
  readonly proof: VerifiedProof | null;
  readonly flags: ReadonlyMap<string, HeldFlag>;
  /** The time of the last applied sync in Unix seconds; 0 before the first. */
  readonly lastSyncAt: number;
  readonly syncCount: number;
}

/** Gives the state of a vehicle that has never synced. */
export function emptyState(identity: VehicleIdentity): VehicleState {
  return { identity, revision: 0, complete: false, proof: null, flags: new Map(), lastSyncAt: 0, syncCount: 0 };
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
