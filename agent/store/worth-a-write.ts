/**
 * Decides which news is worth a write of the whole database. A connected vehicle syncs every ten minutes, and most
 * syncs only say that nothing has changed.
 */
import type { HeldFlag, VehicleState } from '../state.ts';
import { lastContact } from '../sync/apply.ts';

/** Flags live for 7 days: a power cut may make them older by this, never younger. */
const MAX_AGE_LOST_SECONDS = 3600;

/**
 * Whether `next` may stay in memory: beside what is on disk it says nothing new but that the flags are up to date, and
 * by less than an hour later. Flags, revision and what is missing are the same.
 */
export function canWait(onDisk: VehicleState, next: VehicleState): boolean {
  if (next.revision !== onDisk.revision || next.complete !== onDisk.complete || onDisk.lastSyncAt === 0) return false;
  if (next.proof?.set !== onDisk.proof?.set) return false;
  // The control plane's clock may have been set back: ages then count from an earlier time.
  return Math.abs(lastContact(next) - lastContact(onDisk)) < MAX_AGE_LOST_SECONDS && sameFlags(onDisk, next);
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
