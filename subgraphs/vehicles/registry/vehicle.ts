/** A vehicle as the control plane stores it, and the checks of its input. */
import { checkModelName } from '../../../core/partitions/model-name.ts';
import { FleetFlagError, badBatch, badInput, type InputFault } from '../../../core/errors.ts';
import { VIN_PATTERN, type Environment } from '../../../core/model.ts';
import { readLabel } from '../../../core/validation/text.ts';
import { MAX_SW_VERSION_LENGTH } from '../../../core/wire/vehicle/vehicle-facts.ts';

/** The status of a vehicle. */
export const VEHICLE_STATUSES = ['online', 'offline', 'maintenance'] as const;
/** One of `VEHICLE_STATUSES`. */
export type VehicleStatus = (typeof VEHICLE_STATUSES)[number];

/** Derives a vehicle's status. `connected` stays true until the grace period after its last connection has passed. */
export function vehicleStatus({
  maintenance,
  connected,
}: {
  readonly maintenance: boolean;
  readonly connected: boolean;
}): VehicleStatus {
  if (maintenance) return 'maintenance';
  return connected ? 'online' : 'offline';
}

/** The facts that a carmaker registers about a vehicle. */
export interface VehicleRegistration {
  readonly vin: string;
  readonly model: string;
  readonly swVersion: string;
  readonly region: string;
}

/** A vehicle with its registered facts and what its agent has reported. */
export interface Vehicle extends VehicleRegistration {
  readonly status: VehicleStatus;
  readonly lastSeenAt: Date | null;
  readonly agentVersion: string | null;
  readonly agentMemoryMb: number | null;
  readonly agentCpuPercent: number | null;
  readonly cacheSizeMb: number | null;
  /** The environment of the token that was issued last. */
  readonly environment: Environment | null;
  /** The revision that its agent has stored. */
  readonly appliedRevision: number | null;
  /** The control plane's clock minus the vehicle's, in seconds. Null when the vehicle has not reported it. */
  readonly clockOffsetSeconds: number | null;
  /**
   * Kinds of updates that its agent currently refuses, such as `incomplete` (docs/guides/agent.md), in alphabetical
   * order.
   */
  readonly agentRefusals: readonly string[];
  /** The flags whose changes wait in it for the end of a drive, each as `key:revision`, in alphabetical order. */
  readonly pendingFlags: readonly string[];
  /** The words that operators have given it, in alphabetical order. */
  readonly tags: readonly string[];
  /** The number of revocations of its tokens; tokens of an earlier generation are invalid. */
  readonly tokenGeneration: number;
  readonly registeredAt: Date;
  readonly updatedAt: Date;
}

/** The most vehicles in one registration. */
const MAX_BATCH = 1_000;

/** The most characters of each field: the lengths of the columns (database.md, vehicles). */
const MAX_LENGTHS = { model: 100, swVersion: MAX_SW_VERSION_LENGTH, region: 10, agentVersion: 20 } as const;

/** Throws BAD_USER_INPUT at `path` when the text is not a VIN. */
export function checkVin(vin: string, path: string): void {
  if (!VIN_PATTERN.test(vin))
    throw badInput(path, 'A VIN must have 17 characters: digits and capital letters except I, O and Q.');
}

/**
 * Gives the fact as it is stored: one line, without surrounding blanks. Throws BAD_USER_INPUT at `path` for line breaks
 * and invisible characters.
 */
export function readFact(field: keyof typeof MAX_LENGTHS, text: string, path: string): string {
  const fact = readLabel(text, path, { what: field, max: MAX_LENGTHS[field] });
  if (field === 'model') checkModelName(fact, path, 'it names the vehicles of all models that no scope names');
  return fact;
}

/**
 * Reads a whole batch before any of it is written.
 *
 * @throws LIMIT_EXCEEDED (1,000), or BAD_USER_INPUT with every fault of every vehicle, such as `input.3.vin`; a VIN
 * that occurs twice is reported at both places
 */
export function readRegistrations(input: readonly VehicleRegistration[]): VehicleRegistration[] {
  if (input.length === 0) throw badInput('input', 'The list of vehicles must not be empty.');
  if (input.length > MAX_BATCH) {
    throw new FleetFlagError(
      'LIMIT_EXCEEDED',
      `At most ${MAX_BATCH} vehicles may be registered at once; found ${input.length}.`,
      { field: 'input', limit: MAX_BATCH },
    );
  }
  const faults: InputFault[] = [];
  const collect = <T>(field: string, read: (path: string) => T): T | undefined => {
    try {
      return read(field);
    } catch (error) {
      if (!(error instanceof FleetFlagError)) throw error;
      faults.push({ field, message: error.message });
      return undefined;
    }
  };
  const positions = new Map<string, number>();
  const vehicles = input.map((vehicle, index) => {
    collect(`input.${index}.vin`, (path) => checkVin(vehicle.vin, path));
    const before = positions.get(vehicle.vin);
    if (before === undefined) positions.set(vehicle.vin, index);
    else
      faults.push(
        ...(
          [
            [index, before],
            [before, index],
          ] as const
        ).map(([at, other]) => ({
          field: `input.${at}.vin`,
          message: `This VIN is in the batch twice, also at input.${other}.vin.`,
        })),
      );
    const fact = (field: 'model' | 'swVersion' | 'region') =>
      collect(`input.${index}.${field}`, (path) => readFact(field, vehicle[field], path)) ?? '';
    return { vin: vehicle.vin, model: fact('model'), swVersion: fact('swVersion'), region: fact('region') };
  });
  const [first, ...others] = faults;
  if (first !== undefined) throw badBatch(first, others);
  return vehicles;
}
