/**
 * The registered facts of a vehicle as they travel to it, signed: its agent then evaluates by the same model, version
 * and region as `evaluateFlag(vin)` does. They are no part of a sync, which is the same for all vehicles.
 */
import { isNonce } from './proof.ts';
import { membersOf } from '../json/json-value.ts';

/** The JWS `typ` header: no other signed form is ever taken for this one. */
export const VEHICLE_FACTS_JWS_TYPE = 'fleetflag-vehicle-facts+jws';

/** The registered model, software version and region of a vehicle. */
export interface RegisteredFacts {
  readonly model: string;
  readonly swVersion: string;
  readonly region: string;
}

/** The names of the facts, in the order in which people read them. */
export const FACT_NAMES = ['model', 'swVersion', 'region'] as const satisfies readonly (keyof RegisteredFacts)[];

/** The payload of `Query.vehicleFacts`. */
export interface VehicleFactsPayload extends RegisteredFacts {
  readonly v: 1;
  readonly vin: string;
  /** The nonce of the question: an answer to an earlier one is worth nothing, whatever the clocks say. */
  readonly nonce: string;
}

/**
 * Reads the payload of signed facts whose signature has been verified. Members that are not known here are left out.
 *
 * @param payload any JSON value
 * @returns null where it is not of this version
 */
export function readVehicleFacts(payload: unknown): VehicleFactsPayload | null {
  const { v, vin, nonce, model, swVersion, region }: { readonly [Name in keyof VehicleFactsPayload]?: unknown } =
    membersOf(payload);
  if (v !== 1 || typeof vin !== 'string' || !isNonce(nonce)) return null;
  if (typeof model !== 'string' || typeof swVersion !== 'string' || typeof region !== 'string') return null;
  return { v, vin, nonce, model, swVersion, region };
}
