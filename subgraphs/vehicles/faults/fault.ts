/** Faults that vehicles report: how they fare under the definitions of flags. */
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import type { Environment } from '../../../core/model.ts';
import {
  MAX_REPORTED_FAULTS,
  isCausedByPrograms,
  validateFault,
  type FaultKind,
  type FlagFault,
} from '../../../core/wire/vehicle/fault.ts';
import { FAULT_LIMITS } from '../../shared/between-subgraphs/stored-faults.ts';
import type { FaultReportInput } from '../generated/resolvers.ts';

const YEAR_MS = 365 * 86_400_000;

/** A fault that has been checked. */
export interface VehicleFaultRecord extends FlagFault {
  readonly environment: Environment;
  readonly occurredAt: Date;
}

/** The faults of one vehicle that are to be stored. */
export interface FaultReport {
  readonly vin: string;
  /** Each environment, flag, revision and kind once. */
  readonly faults: readonly VehicleFaultRecord[];
}

/** A fault as it is stored. */
export interface StoredFault extends VehicleFaultRecord {
  readonly vin: string;
  readonly receivedAt: Date;
}

/** The vehicles with one kind of fault under one definition of a flag. */
export interface FaultCount {
  readonly revision: number;
  readonly kind: FaultKind;
  readonly vehicles: number;
  /** The message of the newest report, which arrived at `receivedAt`. */
  readonly message: string;
  readonly receivedAt: Date;
}

/**
 * Checks a report. The number of faults is checked first, so that a long one costs nothing.
 *
 * @param now milliseconds since 1970
 * @throws LIMIT_EXCEEDED at `input.faults`, BAD_USER_INPUT at the path of the first fault of the input
 */
export function readFaultReport(
  vin: string,
  environment: Environment,
  { faults }: FaultReportInput,
  now: number,
): FaultReport {
  const limit = MAX_REPORTED_FAULTS;
  if (faults.length > limit)
    throw new FleetFlagError('LIMIT_EXCEEDED', `A report may have at most ${limit} faults.`, {
      field: 'input.faults',
      limit,
    });
  if (faults.length === 0) throw badInput('input.faults', 'A report must have at least one fault.');
  const read = faults.map(({ flagKey, revision, kind, message, occurredAt }, index) => {
    validateFault({ flagKey, revision, message }, `input.faults.${index}.`);
    const at = Math.min(Math.max(occurredAt.getTime(), now - YEAR_MS), now);
    return { environment, flagKey, revision, kind, message, occurredAt: new Date(at) };
  });
  return { vin, faults: eachOnce(read) };
}

/** Merges two reports of one vehicle. The first message and time of a fault count. */
export function mergeFaultReports(earlier: FaultReport, later: FaultReport): FaultReport {
  const faults = eachOnce([...earlier.faults, ...later.faults]);
  const newest = (ofPrograms: boolean) =>
    faults.filter(({ kind }) => isCausedByPrograms(kind) === ofPrograms).slice(-FAULT_LIMITS.faultsOfVehicle);
  return { vin: later.vin, faults: [...newest(false), ...newest(true)] };
}

function eachOnce(faults: readonly VehicleFaultRecord[]): VehicleFaultRecord[] {
  const known = new Map<string, VehicleFaultRecord>();
  for (const fault of faults) {
    const identity = `${fault.environment} ${fault.flagKey} ${fault.revision} ${fault.kind}`;
    if (!known.has(identity)) known.set(identity, fault);
  }
  return [...known.values()];
}
