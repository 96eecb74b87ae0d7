/**
 * The drive: from when a vehicle is no longer known to be parked until it is again. Values hold during a drive. Pure.
 * Names follow COVESA VSS (`Vehicle.IsMoving`, `Vehicle.LowVoltageSystemState`). Source: releases.md, "Activation".
 */
import { badInput } from '../errors.ts';
import { isObject, isOneOf } from '../json/json-value.ts';

/** The state of the vehicle, as a program in it reports. */
export interface VehicleStateReport {
  readonly ignition: 'on' | 'off';
  /** Whether the vehicle moves, with the ignition on or off. */
  readonly moving: boolean;
  /** The seconds after which this no longer counts unless it is said again; absent or null: until the next report. */
  readonly validForSeconds?: number | null;
}

/** A drive, or the standstill between two of them. */
export interface Drive {
  readonly isParked: boolean;
  /**
   * Whether a program has reported it. A drive that nobody reports ends when the agent starts again; a reported one
   * outlives a restart, because the agent may have been restarted in the middle of it.
   */
  readonly isReported: boolean;
}

/** The longest time for which a report may count, in seconds: a day. */
export const MAX_VALID_SECONDS = 86_400;

/** The most seconds for which a flag that goes stale in a drive keeps its value: a day. */
const STALE_WAITS_SECONDS = 86_400;

const MEMBERS = ['ignition', 'moving', 'validForSeconds'];

/**
 * Reads a report.
 *
 * @param report `{"ignition": "on" | "off", "moving": boolean, "validForSeconds"?: number above 0 up to a day}`
 * @throws BAD_USER_INPUT at the member that is at fault; '' for the report itself
 */
export function readVehicleStateReport(report: unknown): VehicleStateReport {
  if (!isObject(report)) throw badInput('', 'A vehicle state must be an object.');
  const unknown = Object.keys(report).find((name) => !MEMBERS.includes(name));
  if (unknown !== undefined) throw badInput(unknown, `Unknown member; expected one of ${MEMBERS.join(', ')}.`);
  const { ignition, moving, validForSeconds = null } = report;
  if (!isOneOf(['on', 'off'], ignition)) throw badInput('ignition', 'The ignition must be "on" or "off".');
  if (typeof moving !== 'boolean') throw badInput('moving', '`moving` must be true or false.');
  if (validForSeconds === null) return { ignition, moving, validForSeconds };
  if (typeof validForSeconds !== 'number' || !(validForSeconds > 0 && validForSeconds <= MAX_VALID_SECONDS))
    throw badInput('validForSeconds', `Expected a number of seconds above 0 and up to ${MAX_VALID_SECONDS}.`);
  return { ignition, moving, validForSeconds };
}

/**
 * Gives the drive that an agent is in when it starts: the reported one of before, or a new one. A new one means that
 * the vehicle has been parked in between.
 *
 * @param kept the drive, or standstill, in which the agent was before; null where it is not known
 */
export function driveAtStart(kept: Drive | null): Drive {
  return kept !== null && kept.isReported && !kept.isParked ? kept : { isParked: false, isReported: false };
}

/** Gives the drive after a report. The vehicle is parked at a standstill with the ignition off, and only then. */
export function driveAfter({ ignition, moving }: VehicleStateReport): Drive {
  return { isParked: ignition === 'off' && !moving, isReported: true };
}

/** Gives the drive when a report no longer counts. What is not known is never parked. */
export function driveUnknown({ isReported }: Drive): Drive {
  return { isParked: false, isReported };
}

/** A flag's age at a moment of a drive. */
export interface AgeInDrive {
  /** The Unix seconds now. */
  readonly seconds: number;
  /** The Unix seconds of the last contact, from which its age counts; 0 before the first. */
  readonly cachedAt: number;
  readonly ttlSeconds: number;
  /** Whether it was stale when the drive began. */
  readonly wasStale: boolean;
}

/**
 * Says whether a flag that holds its value during a drive counts as stale: as at the start of the drive, but for at
 * most a day beyond its TTL.
 */
export function isStaleInDrive({ seconds, cachedAt, ttlSeconds, wasStale }: AgeInDrive): boolean {
  return wasStale || seconds - cachedAt > ttlSeconds + STALE_WAITS_SECONDS;
}
