/**
 * Vehicles go forward only, hold exactly the set of the revision that they report, never take an older state in place
 * of a stop, and end with the set of the last statement.
 */
import type { Finding, Law, Truth } from '../history.ts';

/** Reasons of refusals that only an attacker, a restored database or wrong code can cause. */
const NEVER = new Set([
  'malformed',
  'unknown-key',
  'signature',
  'wrong-type',
  'wrong-environment',
  'wrong-flag',
  'incomplete',
  'not-servable',
  'stored-flag',
]);

/** Gives the revision that each flag had at a revision of the environment. */
function setsOf({ versions }: Truth): (flag: string, revision: number) => number {
  const byFlag = new Map<string, number[]>();
  for (const { flag, revision } of versions) byFlag.set(flag, [...(byFlag.get(flag) ?? []), revision]);
  return (flag, revision) => {
    const revisions = byFlag.get(flag) ?? [];
    let [low, high] = [0, revisions.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (revisions[middle]! <= revision) low = middle + 1;
      else high = middle;
    }
    return revisions[low - 1] ?? 0;
  };
}

interface Vehicle {
  revision: number;
  complete: boolean;
  held: Map<string, number>;
  served: Map<string, { revision: number; stopped: boolean }>;
}

const newVehicle = (revision: number): Vehicle => ({ revision, complete: false, held: new Map(), served: new Map() });

/** A vehicle never goes back, holds the set of the revision that it reports, and ends at the newest revision. */
export const vehiclesHoldWhatTheyReport: Law = ({ entries, truth }) => {
  const findings: Finding[] = [];
  const flags = [...new Set(truth.versions.map(({ flag }) => flag))];
  const heldAt = setsOf(truth);
  const vehicles = new Map<string, Vehicle>();
  for (const entry of entries) {
    if (entry.kind === 'start') {
      const before = vehicles.get(entry.vin);
      // The stored state outlives the process.
      if (entry.revision < (before?.revision ?? 0))
        findings.push({
          law: 'vehicle that went back',
          detail: `${entry.vin} started at revision ${entry.revision} after it had reported ${before?.revision}`,
        });
      vehicles.set(entry.vin, newVehicle(entry.revision));
    }
    if (entry.kind !== 'state') continue;
    const { vin, revision, complete } = entry;
    const vehicle = vehicles.get(vin) ?? newVehicle(0);
    vehicles.set(vin, vehicle);
    if (revision < vehicle.revision)
      findings.push({
        law: 'vehicle that went back',
        detail: `${vin} applied revision ${revision} after ${vehicle.revision}`,
      });
    vehicle.revision = revision;
    vehicle.complete = complete;
    for (const key of entry.gone) vehicle.held.delete(key);
    for (const [key, held, served, stopped] of entry.flags) {
      vehicle.held.set(key, held);
      const before = vehicle.served.get(key);
      if (before !== undefined && served < before.revision)
        findings.push({
          law: before.stopped && !stopped ? 'kill switch overtaken' : 'served flag that went back',
          detail: `${vin} served ${key} of revision ${served} after ${before.revision}`,
        });
      vehicle.served.set(key, { revision: served, stopped });
    }
    if (!complete) continue;
    for (const flag of flags) {
      const expected = heldAt(flag, revision);
      if ((vehicle.held.get(flag) ?? 0) !== expected)
        findings.push({
          law: 'vehicle with another set',
          detail: `${vin} reported revision ${revision} with ${flag} of revision ${vehicle.held.get(flag) ?? 0}; it is ${expected}`,
        });
    }
  }
  for (const [vin, { revision, complete }] of vehicles)
    if (revision !== truth.revision || !complete)
      findings.push({
        law: 'vehicle that was left behind',
        detail: `${vin} ended at revision ${revision}${complete ? '' : ', incomplete'}; the environment has ${truth.revision}`,
      });
  return findings;
};

/** No vehicle refuses a message for a reason that only an attacker, a restored database or wrong code can cause. */
export const nothingHonestIsRefused: Law = ({ entries }) =>
  entries.flatMap((entry) =>
    entry.kind === 'refusal' && NEVER.has(entry.reason)
      ? [{ law: 'honest data refused', detail: `${entry.vin}: ${entry.reason}` }]
      : [],
  );

/** No process ends by itself, and no failure reaches a last handler. */
export const nothingIsUnforeseen: Law = ({ entries }) =>
  entries.flatMap((entry) =>
    entry.kind === 'unforeseen' ? [{ law: 'unforeseen failure', detail: `${entry.part}: ${entry.detail}` }] : [],
  );

/** Everything recovers by itself when faults end. */
export const calmReturns: Law = ({ entries }) =>
  entries.flatMap((entry) =>
    entry.kind === 'calm' && entry.missing.length > 0
      ? [
          {
            law: 'no recovery',
            detail: `${Math.round(entry.tookMs / 1_000)} s after the faults: ${entry.missing.slice(0, 5).join('; ')}${entry.missing.length > 5 ? ` and ${entry.missing.length - 5} more` : ''}`,
          },
        ]
      : [],
  );
