/**
 * Vehicle tokens: JWTs that name a vehicle's VIN (`sub`), environment (`env`) and generation (`gen`). The vehicles
 * subgraph issues them and the gateway verifies them, both under a key derived from the internal secret. Revoking a
 * vehicle's tokens raises the vehicle's generation, which ends all tokens of earlier generations.
 */
import { randomUUID } from 'node:crypto';
import { FleetFlagError } from '../errors.ts';
import { ENVIRONMENTS, VIN_PATTERN, type Environment } from '../model.ts';
import type { VehicleCaller } from '../access/caller.ts';
import { isCount, isOneOf } from '../json/json-value.ts';
import { importKey, signJwt, verifyJwt, type ExpectedClaims } from './hmac-jwt.ts';
import { deriveKey } from './identity-token.ts';

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

const EXPECTED = {
  typ: 'fleetflag-vehicle+jwt',
  issuer: 'fleetflag',
  audience: 'fleetflag-gateway',
  required: ['exp', 'sub', 'env'],
} satisfies ExpectedClaims;

/**
 * Makes the issuer and verifier of vehicle tokens.
 *
 * @param secret `FLEETFLAG_INTERNAL_SECRET`: at least 32 characters
 */
export function createVehicleTokens(secret: string): VehicleTokens {
  const key = importKey(deriveKey(secret, 'vehicle-token'));
  return {
    async issue(vin, environment, expiresAt, generation = 0) {
      const claims = {
        env: environment,
        gen: generation,
        iss: EXPECTED.issuer,
        aud: EXPECTED.audience,
        sub: vin,
        jti: randomUUID(),
        iat: Math.floor(Date.now() / 1_000),
        exp: Math.floor(expiresAt.getTime() / 1_000),
      };
      return signJwt(EXPECTED.typ, claims, key);
    },
    async verify(token) {
      try {
        // The first tokens were issued without a generation.
        const { sub: vin, env: environment, exp, gen: generation = 0 } = verifyJwt(token, key, EXPECTED, Date.now());
        if (!isOneOf(ENVIRONMENTS, environment) || !isVin(vin) || !isCount(generation))
          throw new Error('malformed claims');
        return { caller: { kind: 'vehicle', vin, environment }, expiresAt: new Date(Number(exp) * 1_000), generation };
      } catch (cause) {
        throw new FleetFlagError('UNAUTHENTICATED', 'The vehicle token is not valid.', {}, { cause });
      }
    },
  };
}

function isVin(value: unknown): value is string {
  return typeof value === 'string' && VIN_PATTERN.test(value);
}
