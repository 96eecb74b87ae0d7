/**
 * Decides which new states need a write of the whole database. A connected vehicle syncs every ten minutes, and most
 * syncs only say that nothing has changed.
 */
import type { HeldFlag, VehicleState } from '../state.ts';
import { lastContact } from '../sync/apply.ts';

/** The seconds by which a power cut may make flags older; it never makes them younger. Their TTL is 7 days. */
const MAX_AGE_LOST_SECONDS = 3600;

/**
 * Says whether `next` may stay in memory. It may where flags, latches, partition, revision and completeness are the
 * same as on disk, and only the time of the last contact differs, by less than an hour.
 */
export function canWait(onDisk: VehicleState, next: VehicleState): boolean {
  if (next.revision !== onDisk.revision || next.complete !== onDisk.complete || onDisk.lastSyncAt === 0) return false;
  if (next.assignment?.partition !== onDisk.assignment?.partition) return false;
  if (next.proof?.set !== onDisk.proof?.set) return false;
  // The difference is absolute, because ages count from an earlier time when the control plane's clock was set back.
  return (
    Math.abs(lastContact(next) - lastContact(onDisk)) < MAX_AGE_LOST_SECONDS &&
    sameFlags(onDisk, next) &&
    sameLatches(onDisk, next)
  );
}

function sameLatches({ latches: known }: VehicleState, { latches }: VehicleState): boolean {
  if (latches.size !== known.size) return false;
  return [...latches].every(([key, flag]) => known.has(key) && known.get(key)?.served?.id === flag?.served?.id);
}

function sameFlags(onDisk: VehicleState, next: VehicleState): boolean {
  if (next.flags.size !== onDisk.flags.size) return false;
  for (const [key, flag] of next.flags) if (!sameFlag(flag, onDisk.flags.get(key))) return false;
  return true;
}

function sameFlag(flag: HeldFlag, known: HeldFlag | undefined): boolean {
  return (
    known !== undefined &&
    flag.held.jws === known.held.jws &&
    flag.ahead?.jws === known.ahead?.jws &&
    flag.served?.id === known.served?.id
  );
}
