/** Describes the changes of a new state for the log. */
import type { VehicleState } from '../state.ts';
import { boundPartition } from '../trust/binding.ts';
import { Refusal } from '../trust/refusals.ts';

/**
 * Gives one line for another partition, and one for each flag that has changed, or that was stopped before its set is
 * complete.
 */
export function describeChanges(before: VehicleState, next: VehicleState): string[] {
  const lines: string[] = [];
  const [known, partition] = [boundPartition(before), boundPartition(next)];
  if (known !== partition)
    lines.push(
      `this vehicle now gets the flags of partition ${JSON.stringify(partition)}${known === null ? '' : `, and no longer those of ${JSON.stringify(known)}`}`,
    );
  for (const [key, { held, ahead }] of next.flags) {
    const known = before.flags.get(key);
    if (known?.held.jws !== held.jws) lines.push(`changed ${key} at revision ${held.revision}`);
    if (ahead !== null && known?.ahead?.jws !== ahead.jws)
      lines.push(`stopped ${key} at revision ${ahead.revision}, before the rest of that revision has arrived`);
  }
  for (const key of before.flags.keys())
    if (!next.flags.has(key)) lines.push(`removed ${key} by revision ${next.revision}`);
  return lines;
}

/** Gives a refusal for each newly held definition that cannot be served. */
export function unserved(before: VehicleState, next: VehicleState): Refusal[] {
  const refusals: Refusal[] = [];
  for (const [key, { held }] of next.flags) {
    if (held.fault === null || before.flags.get(key)?.held.jws === held.jws) continue;
    refusals.push(
      new Refusal(
        held.outsideContract ? 'outside-contract' : 'not-servable',
        `flag ${JSON.stringify(key)} of revision ${held.revision}`,
        {
          cause: new Error(held.fault),
        },
      ),
    );
  }
  return refusals;
}
