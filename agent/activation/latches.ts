/**
 * The flags that keep their active definition during a drive, though the vehicle holds a newer one. Source:
 * releases.md, "Activation".
 */
import { waitingFlags, type ActivatedDefinition } from '../../core/activation/change-over.ts';
import { NO_LATCHES, type HeldFlag, type Latches, type VehicleState } from '../state.ts';
import { activeFlags, settledFlags } from './active-flags.ts';

function servedIn(flags: ReadonlyMap<string, HeldFlag>): Map<string, ActivatedDefinition> {
  return new Map(
    [...flags].flatMap(([key, { served, from }]) =>
      served === null ? [] : [[key, { ...served, isReturn: from !== undefined }] as const],
    ),
  );
}

/**
 * Gives the latches for a change from `state` to `next` during a drive: the flags that keep their active definition,
 * and the new ones that stay away. Before the first sync there are none.
 */
export function latchesIn(state: VehicleState, next: VehicleState): Latches {
  if (state.lastSyncAt === 0) return NO_LATCHES;
  const active = activeFlags(state);
  const latches = new Map<string, HeldFlag | null>();
  for (const key of waitingFlags(servedIn(active), servedIn(settledFlags(next)))) {
    const flag = active.get(key);
    const latched = flag === undefined || flag.served === null ? null : flag;
    // A flag that a damaged file has lost comes back at once.
    if (latched === null && !state.complete && !state.latches.has(key)) continue;
    latches.set(key, latched);
  }
  return latches;
}
