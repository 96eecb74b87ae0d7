/**
 * What a vehicle knows: one immutable value that sync makes anew, the store keeps and evaluation reads.
 */
import type { Environment, FlagDefinition } from '../core/model.ts';

/** Who this vehicle is, as its token says. */
export interface VehicleIdentity {
  readonly vin: string;
  readonly environment: Environment;
}

/** A verified definition and the proof of it. */
export interface HeldFlag {
  readonly key: string;
  readonly revision: number;
  readonly definition: FlagDefinition;
  /** The compact JWS that `definition` was read from. */
  readonly jws: string;
  /** Unix seconds of the last verified contact about this flag; 0: none. */
  readonly cachedAt: number;
  readonly ttlSeconds: number;
}

/** The variants that the `variant` column tells apart (database specification, section 3). */
export type StoredVariant = 'control' | 'treatment' | 'enabled';

/** A verified statement: at `issuedAt` (Unix seconds) the environment stood at `revision`. */
export interface VerifiedStatement {
  readonly jws: string;
  readonly revision: number;
  readonly issuedAt: number;
}

export interface VehicleState {
  readonly identity: VehicleIdentity;
  /** Everything up to this revision has been applied. Never falls. */
  readonly revision: number;
  /** False where flags below `revision` may be missing (a damaged file): the next sync asks for everything. */
  readonly complete: boolean;
  /** The newest statement that was accepted. */
  readonly statement: VerifiedStatement | null;
  readonly flags: ReadonlyMap<string, HeldFlag>;
  /** Tombstones beyond `revision`: they keep an older definition of the key from coming back meanwhile. */
  readonly removedAhead: ReadonlyMap<string, number>;
  /** Unix seconds of the last sync that was applied; 0: never. */
  readonly lastSyncAt: number;
  readonly syncCount: number;
}

/** A vehicle that has never synced. */
export function emptyState(identity: VehicleIdentity): VehicleState {
  return {
    identity,
    revision: 0,
    complete: false,
    statement: null,
    flags: new Map(),
    removedAhead: new Map(),
    lastSyncAt: 0,
    syncCount: 0,
  };
}
