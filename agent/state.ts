/**
 * What a vehicle knows: one immutable value that sync makes anew, the store keeps and evaluation reads.
 */
import type { Environment, FlagDefinition } from '../core/model.ts';

/** Who this vehicle is, as its token says. */
export interface VehicleIdentity {
  readonly vin: string;
  readonly environment: Environment;
}

/** A signed definition of a flag whose signature has been verified. */
export interface SignedDefinition {
  readonly revision: number;
  /** The compact JWS. */
  readonly jws: string;
  /** `jwsDigest` of it, which counts in a set. */
  readonly digest: string;
  /** What it says; null where this version cannot read it. */
  readonly definition: FlagDefinition | null;
  /** Why this version cannot serve it, or null. */
  readonly fault: string | null;
  /** Whether it is killed or disabled: that much is understood of any definition, and acts by its own signature. */
  readonly settled: boolean;
}

/** What a flag gave before a definition that cannot be served. */
export interface FormerDefinition {
  /** One that can be served. */
  readonly signed: SignedDefinition;
  /** Whether a later one that could not be served has disabled it. */
  readonly disabled: boolean;
}

/** The definition by which a flag is evaluated. */
export interface ServedDefinition {
  readonly definition: FlagDefinition;
  /** The revision of the signed definition that brought it. */
  readonly revision: number;
  /** The same for the same content. */
  readonly id: string;
}

/** A flag of the vehicle. */
export interface HeldFlag {
  readonly key: string;
  /** Counts in the set at the state's revision. */
  readonly held: SignedDefinition;
  /** What goes on where `held` cannot be served. */
  readonly former: FormerDefinition | null;
  /** A kill switch or disabling from beyond the state's revision, which acts before its set is complete. */
  readonly ahead: SignedDefinition | null;
  /** What all of this comes to; null where nothing of it can be served. */
  readonly served: ServedDefinition | null;
  /** Unix seconds, by the control plane's clock, of the last verified contact; 0: none. */
  readonly cachedAt: number;
  readonly ttlSeconds: number;
}

/** The variants that the `variant` column tells apart (database specification, section 3). */
export type StoredVariant = 'control' | 'treatment' | 'enabled';

/** A verified proof: at `issuedAt` (Unix seconds) the environment stood at `revision` and consisted of `set`. */
export interface VerifiedProof {
  readonly jws: string;
  readonly revision: number;
  readonly issuedAt: number;
  /** Null in a statement that an agent of before has stored, which names no set. */
  readonly set: string | null;
  /** The nonce that it answers, if any. */
  readonly nonce: string | null;
}

export interface VehicleState {
  readonly identity: VehicleIdentity;
  /** The set of this revision has been applied. Never falls. */
  readonly revision: number;
  /** False where the flags are not the set of `revision`: a damaged file, or a control plane that says otherwise. */
  readonly complete: boolean;
  /** The last proof whose set is held. */
  readonly proof: VerifiedProof | null;
  readonly flags: ReadonlyMap<string, HeldFlag>;
  /** Unix seconds of the last sync that was applied; 0: never. */
  readonly lastSyncAt: number;
  readonly syncCount: number;
}

/** A vehicle that has never synced. */
export function emptyState(identity: VehicleIdentity): VehicleState {
  return { identity, revision: 0, complete: false, proof: null, flags: new Map(), lastSyncAt: 0, syncCount: 0 };
}

/** The revision whose set the vehicle holds; 0 where it holds none. */
export function heldRevision(state: VehicleState): number {
  return state.complete ? state.revision : 0;
}

/**
 * Whether a flag is older than it may be, or was never proven fresh: a clock in January 1970 makes nothing of that.
 * `seconds`: the time by the ageing clock.
 */
export function isStale(flag: HeldFlag, seconds: number): boolean {
  return flag.cachedAt <= 0 || seconds - flag.cachedAt > flag.ttlSeconds;
}
