/**
 * Vehicle tokens: JWTs that name a vehicle's VIN (`sub`), environment (`env`) and generation (`gen`). The vehicles
 * subgraph issues them and the gateway verifies them, both under a key derived from the internal secret. Revoking a
 * vehicle's tokens raises the vehicle's generation, which ends all tokens of earlier generations.
 */
import { randomUUID } from 'node:crypto';
import { SignJWT, jwtVerify } from 'jose';
import { FleetFlagError } from '../errors.ts';
import { ENVIRONMENTS, VIN_PATTERN, type Environment } from '../model.ts';
import type { VehicleCaller } from '../access/caller.ts';
import { deriveKey } from './identity-token.ts';
import { isCount } from '../json/json-value.ts';

/** The claims of a genuine token. The caller still has to check whether its generation was revoked. */
export interface VerifiedVehicleToken {
  readonly caller: VehicleCaller & { readonly vin: string };
  readonly expiresAt: Date;
  readonly generation: number;
}

/** Issues and verifies vehicle tokens. */
export interface VehicleTokens {
  /**
   * Issues a token that ends at `expiresAt`.
   *
   * @param generation the vehicle's present generation; 0 where its tokens were never revoked
   */
  issue(vin: string, environment: Environment, expiresAt: Date, generation?: number): Promise<string>;
  /**
   * Gives the claims of `token`. Rejects with UNAUTHENTICATED when it is forged, malformed or expired.
   */
  verify(token: string): Promise<VerifiedVehicleToken>;
}

/**
 * Makes the issuer and verifier of vehicle tokens.
 *
 * @param secret `FLEETFLAG_INTERNAL_SECRET`: at least 32 characters
 */
export function createVehicleTokens(secret: string): VehicleTokens {
  const key = deriveKey(secret, 'vehicle-token');
  return {
    issue: (vin, environment, expiresAt, generation = 0) =>
      new SignJWT({ env: environment, gen: generation })
        .setProtectedHeader({ alg: 'HS256', typ: 'fleetflag-vehicle+jwt' })
        .setIssuer('fleetflag')
        .setAudience('fleetflag-gateway')
        .setSubject(vin)
        .setJti(randomUUID())
        .setIssuedAt()
        .setExpirationTime(expiresAt)
        .sign(key),
    async verify(token) {
      try {
        const { payload } = await jwtVerify<{ env: unknown; gen: unknown; sub: string; exp: number }>(token, key, {
          algorithms: ['HS256'],
          typ: 'fleetflag-vehicle+jwt',
          issuer: 'fleetflag',
          audience: 'fleetflag-gateway',
          requiredClaims: ['exp', 'sub', 'env'],
        });
        const environment = ENVIRONMENTS.find((name) => name === payload.env);
        // The first tokens were issued without a generation.
        const { sub: vin, gen: generation = 0 } = payload;
        if (environment === undefined || !VIN_PATTERN.test(vin) || !isCount(generation))
          throw new Error('malformed claims');
        return { caller: { kind: 'vehicle', vin, environment }, expiresAt: new Date(payload.exp * 1000), generation };
      } catch (cause) {
        throw new FleetFlagError('UNAUTHENTICATED', 'The vehicle token is not valid.', {}, { cause });
      }
    },
  };
}
