/**
 * Decides which news is worth a write of the whole database. A connected vehicle syncs every ten minutes, and most
 * syncs only say that nothing has changed.
 */
import type { VehicleState } from '../state.ts';

/** Flags live for 7 days: a power cut may make them older by this, never younger. */
const MAX_AGE_LOST_SECONDS = 3600;

/**
 * Whether `next` may stay in memory: beside what is on disk it says nothing new but that the flags are up to date, and
 * by less than an hour later. Flags, revision and what is missing are the same.
 */
export function canWait(onDisk: VehicleState, next: VehicleState): boolean {
  if (next.revision !== onDisk.revision || next.complete !== onDisk.complete || onDisk.lastSyncAt === 0) return false;
  if (next.statement === null || onDisk.statement === null) return next.statement === onDisk.statement && sameFlags(onDisk, next);
  return next.statement.issuedAt - onDisk.statement.issuedAt < MAX_AGE_LOST_SECONDS && sameFlags(onDisk, next);
}

function sameFlags(onDisk: VehicleState, next: VehicleState): boolean {
  if (next.flags.size !== onDisk.flags.size || next.removedAhead.size !== onDisk.removedAhead.size) return false;
  for (const [key, { jws }] of next.flags) if (onDisk.flags.get(key)?.jws !== jws) return false;
  for (const [key, revision] of next.removedAhead) if (onDisk.removedAhead.get(key) !== revision) return false;
  return true;
}
