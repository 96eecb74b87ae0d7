/**
 * The vehicle's credential: a token that the gateway checks, and from whose claims the vehicle learns its identity.
 */
import { decodeJwt } from 'jose';
import { ENVIRONMENTS, VIN_PATTERN } from '../../core/model.ts';
import { emptySecretFault, openSecretFault } from '../../core/credentials/secret-file.ts';
import { readRegularFile } from '../../core/files/regular-file.ts';
import type { VehicleIdentity } from '../state.ts';

/** The end of each message about a wrong token: how to get a right one. */
const REMEDY = 'issueVehicleToken, or `npm run admin -- vehicle-token`, makes one';

/** A token, with the identity that its claims name. */
export interface VehicleCredential {
  /** The JWT, which must never be logged. */
  readonly token: string;
  readonly identity: VehicleIdentity;
  /** A message that all users of this machine can read or change the file; null where they cannot. */
  readonly openFault: string | null;
}

/**
 * Reads a token file. The claims are not verified here: only the control plane has the key, and it checks the token at
 * each connection. Rejects with an Error that does not contain the token.
 */
export async function readVehicleCredential(path: string): Promise<VehicleCredential> {
  const { bytes, mode } = await readRegularFile(path);
  const token = bytes.toString('utf8').trim();
  const empty = emptySecretFault(path, token);
  if (empty !== null) throw new Error(empty);
  let claims;
  try {
    claims = decodeJwt<{ env?: unknown }>(token);
  } catch {
    throw new Error(`${path} does not hold a vehicle token; ${REMEDY}`);
  }
  const environment = ENVIRONMENTS.find((name) => name === claims.env);
  if (environment === undefined || !VIN_PATTERN.test(claims.sub ?? '')) {
    throw new Error(`${path} holds a token that names no VIN or no environment; ${REMEDY}`);
  }
  return { token, identity: { vin: claims.sub!, environment }, openFault: openSecretFault(path, mode) };
}
