import type { HeldFlag, VehicleState } from '../state.ts';
import { lastContact } from '../sync/apply.ts';

/** Gives the flags by which a vehicle would evaluate if it were parked: those that it holds, after its returns. */
export function settledFlags({ flags, returns }: VehicleState): ReadonlyMap<string, HeldFlag> {
  if (returns.size === 0) return flags;
  const settled = new Map(flags);
  for (const [key, { flag }] of returns) settled.set(key, flag);
  return settled;
}

/**
 * Gives the flags by which a vehicle evaluates now: those that it holds, with their active definitions where others are
 * pending. A pending change does not make a flag older.
 */
export function activeFlags(state: VehicleState): ReadonlyMap<string, HeldFlag> {
  const { flags, latches } = state;
  const settled = settledFlags(state);
  if (latches.size === 0) return settled;
  const active = new Map(settled);
  // A flag that the vehicle no longer holds is as old as the others.
  const contact = lastContact(state) || (state.proof?.issuedAt ?? state.lastSyncAt);
  for (const [key, latched] of latches) {
    if (latched === null) active.delete(key);
    // A last known good has an age of its own.
    else if (latched.from !== undefined) active.set(key, latched);
    else active.set(key, { ...latched, cachedAt: flags.get(key)?.cachedAt ?? contact });
  }
  return active;
}

/** A flag whose change waits for the end of the drive. */
export interface PendingFlag {
  readonly key: string;
  /** The revision of the definition that is active; null where the flag is new. */
  readonly activeRevision: number | null;
  /** The revision of the change that waits. */
  readonly revision: number;
  /** Whether that change removes the flag. */
  readonly removed: boolean;
}

/** Gives the flags of a state whose changes wait, in the order of their keys. */
export function pendingFlags(state: VehicleState): PendingFlag[] {
  const { latches, revision } = state;
  const flags = settledFlags(state);
  return [...latches]
    .map(([key, latched]) => {
      const served = flags.get(key)?.served ?? null;
      const activeRevision = latched?.served?.revision ?? null;
      return { key, activeRevision, revision: served?.revision ?? revision, removed: served === null };
    })
    .sort((a, b) => (a.key < b.key ? -1 : 1));
}
