/** The values that hold during a drive, and the form in which they are kept across a restart. */
import type { Drive } from '../../core/activation/drive.ts';
import { isObject, membersOf } from '../../core/json/json-value.ts';
import { is } from '../../core/json/shape.ts';
import { FACT_NAMES } from '../../core/wire/vehicle/vehicle-facts.ts';
import type { VehicleFacts } from '../facts/known-facts.ts';

/** The values by which flags with an activation are evaluated during a drive. */
export interface DriveValues {
  /** The vehicle's facts at the start of the drive. */
  readonly facts: VehicleFacts;
  /** The string that rollouts with `sticky: false` add to what they hash. */
  readonly nonce: string;
  /** The keys of the flags that were stale at the start of the drive. */
  readonly stale: readonly string[];
}

/** A drive, or a standstill, that a restart of the agent has to know of. */
export interface KeptDrive {
  readonly drive: Drive;
  /** The values of the drive; null while the vehicle is parked. */
  readonly values: DriveValues | null;
}

const isStringList = is.listOf(is.string);

function readValues(value: unknown): DriveValues | null {
  const { facts, nonce, stale } = membersOf(value);
  if (!isObject(facts) || typeof nonce !== 'string' || !isStringList(stale)) return null;
  const known = FACT_NAMES.flatMap((name) => {
    const fact = facts[name];
    return typeof fact === 'string' ? [[name, fact] as const] : [];
  });
  return { facts: Object.fromEntries(known), nonce, stale };
}

/** Reads a kept drive from any JSON; gives null where that does not have the form of one. */
export function readKeptDrive(value: unknown): KeptDrive | null {
  const { drive, values } = membersOf(value);
  const { isParked, isReported } = membersOf(drive);
  if (typeof isParked !== 'boolean' || typeof isReported !== 'boolean') return null;
  return { drive: { isParked, isReported }, values: readValues(values) };
}
