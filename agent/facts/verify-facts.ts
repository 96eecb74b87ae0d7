import { readVehicleFacts, VEHICLE_FACTS_JWS_TYPE } from '../../core/wire/vehicle/vehicle-facts.ts';
import type { PinnedKeys } from '../trust/pinned-keys.ts';
import { Refusal } from '../trust/refusals.ts';
import { verifyJws } from '../trust/verification.ts';
import type { VerifiedFacts } from './known-facts.ts';

const SUBJECT = 'registered facts';

/**
 * Verifies signed facts: they must be signed under a pinned key, for this purpose and this vehicle.
 *
 * @param nonce the nonce of the request that they answer; null for facts from the vehicle's database
 * @throws Refusal
 */
export async function verifyFacts(
  jws: string,
  vin: string,
  nonce: string | null,
  keys: PinnedKeys,
): Promise<VerifiedFacts> {
  const payload = readVehicleFacts(await verifyJws(jws, VEHICLE_FACTS_JWS_TYPE, keys, SUBJECT));
  if (payload === null) throw new Refusal('malformed', SUBJECT);
  if (payload.vin !== vin) throw new Refusal('wrong-vehicle', SUBJECT);
  if (nonce !== null && payload.nonce !== nonce) throw new Refusal('wrong-question', SUBJECT);
  const { model, swVersion, region } = payload;
  return { jws, facts: { model, swVersion, region } };
}
