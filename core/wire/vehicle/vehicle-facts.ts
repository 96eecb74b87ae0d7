/**
 * The registered facts of a vehicle, as they are signed and sent to it. With them the agent evaluates by the same
 * model, version and region as `evaluateFlag(vin)` does. They are not part of a sync, which is the same for all
 * vehicles.
 */
import { isNonce } from './proof.ts';
import { membersOf } from '../../json/json-value.ts';

/** The JWS `typ` header of facts, so that no other signed form is ever accepted as facts. */
export const VEHICLE_FACTS_JWS_TYPE = 'fleetflag-vehicle-facts+jws';

/** The registered model, software version and region of a vehicle. */
export interface RegisteredFacts {
  readonly model: string;
  readonly swVersion: string;
  readonly region: string;
}

/** The names of the facts, in the order in which they are shown. */
export const FACT_NAMES = ['model', 'swVersion', 'region'] as const satisfies readonly (keyof RegisteredFacts)[];

/** The most characters of a vehicle's software version that the control plane accepts. */
export const MAX_SW_VERSION_LENGTH = 50;

/** The payload of `Query.vehicleFacts`. */
export interface VehicleFactsPayload extends RegisteredFacts {
  readonly v: 1;
  readonly vin: string;
  /** The nonce of the request. It rules out an answer to an earlier request, whatever the clocks say. */
  readonly nonce: string;
}

/**
 * Reads the payload of signed facts whose signature has been verified. Unknown members are left out.
 *
 * @param payload any JSON value
 * @returns null for a payload that is not of this version
 */
export function readVehicleFacts(payload: unknown): VehicleFactsPayload | null {
  const { v, vin, nonce, model, swVersion, region }: { readonly [Name in keyof VehicleFactsPayload]?: unknown } =
    membersOf(payload);
  if (v !== 1 || typeof vin !== 'string' || !isNonce(nonce)) return null;
  if (typeof model !== 'string' || typeof swVersion !== 'string' || typeof region !== 'string') return null;
  return { v, vin, nonce, model, swVersion, region };
}
