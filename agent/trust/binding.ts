/**
 * Binds a vehicle to its partition. What belongs to another partition is refused, however authentic it is. Source:
 * scopes.md, "Scopes and partitions"; docs/decisions/vehicle/bound-to-its-partition.md.
 */
import { isInPartition } from '../../core/partitions/partition.ts';
import type { Assignment, VehicleIdentity, VehicleState, VerifiedDefinition, VerifiedProof } from '../state.ts';
import { Refusal } from './refusals.ts';
import type { VerifiedFlag } from './verification.ts';

/**
 * The relation of a proof to a vehicle. `own`: it is about the vehicle's partition. `assigns`: it assigns its partition
 * to the vehicle. `foreign`: it is about another partition than the one that is proven, or none is proven yet.
 */
export type Binding = 'own' | 'assigns' | 'foreign';

/** The parts of a vehicle by which proofs are bound to it. */
export interface BoundVehicle {
  readonly state: Pick<VehicleState, 'identity' | 'assignment'>;
  /** Whether the control plane of the present link knows no partitions, which counts only before an assignment. */
  readonly former: boolean;
  /** Says whether `nonce` is that of a request of this vehicle whose answer still counts. */
  readonly isOpen: (nonce: string) => boolean;
}

/**
 * Gives the relation of a verified proof to a vehicle.
 *
 * @throws Refusal `wrong-vehicle` for an assignment of another vehicle; `wrong-question` for one that does not answer
 *   an open request of this vehicle: an older one, or a replay
 */
export function bindingOf(proof: VerifiedProof, { state, former, isOpen }: BoundVehicle): Binding {
  const { partition, vin, nonce } = proof;
  if (vin !== null) {
    checkVehicle(proof, state.identity);
    if (nonce === null || !isOpen(nonce)) throw new Refusal('wrong-question', 'assignment');
    return 'assigns';
  }
  if (state.assignment !== null) return partition === state.assignment.partition ? 'own' : 'foreign';
  return former && partition === null ? 'own' : 'foreign';
}

/** Throws a Refusal where a proof assigns a partition to another vehicle. */
export function checkVehicle({ vin }: VerifiedProof, identity: VehicleIdentity): void {
  if (vin !== null && vin !== identity.vin) throw new Refusal('wrong-vehicle', 'assignment');
}

/** Gives the assignment in a proof of a vehicle; null where it assigns nothing. */
export function assignmentIn({ partition, vin, nonce, jws }: VerifiedProof): Assignment | null {
  return partition === null || vin === null || nonce === null ? null : { partition, jws };
}

/**
 * Says whether a verified change concerns the vehicles of a partition.
 *
 * @param partition null where none is proven, so that the control plane alone decides
 */
export function concerns({ signed, left }: VerifiedFlag, partition: string | null): boolean {
  if (partition === null) return true;
  return signed === null ? left === null || left === partition : isIn(signed, partition);
}

/** Says whether a definition is one of a partition; null where none is proven. */
export function isIn({ scope }: VerifiedDefinition, partition: string | null): boolean {
  return partition === null || isInPartition(scope, partition);
}

/** Gives the partition to which a vehicle is bound; null where none is proven. */
export function boundPartition({ assignment }: Pick<VehicleState, 'assignment'>): string | null {
  return assignment === null ? null : assignment.partition;
}

/** Makes the refusal of what belongs to another partition. */
export function wrongPartition(subject: string, of: string | null): Refusal {
  return new Refusal('wrong-partition', of === null ? subject : `${subject} of partition ${JSON.stringify(of)}`);
}
