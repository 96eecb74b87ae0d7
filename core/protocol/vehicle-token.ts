/**
 * A vehicle's credential: a JWT that names its VIN (`sub`) and its environment (`env`). The vehicles subgraph
 * issues it and the gateway checks it, both under a key derived from the internal secret.
 */
import { randomUUID } from 'node:crypto';
import { SignJWT, jwtVerify } from 'jose';
import { FleetFlagError } from '../errors.ts';
import { ENVIRONMENTS, VIN_PATTERN, type Environment } from '../model.ts';
import type { VehicleCaller } from './caller.ts';
import { deriveKey } from './identity-token.ts';

export interface VehicleTokens {
  issue(vin: string, environment: Environment, expiresAt: Date): Promise<string>;
  /** The vehicle that `token` names, and when the token ends. Throws UNAUTHENTICATED when it is forged, malformed or expired. */
  verify(token: string): Promise<{ caller: VehicleCaller; expiresAt: Date }>;
}

/** @param secret `FLEETFLAG_INTERNAL_SECRET` */
export function createVehicleTokens(secret: string): VehicleTokens {
  const key = deriveKey(secret, 'vehicle-token');
  return {
    issue: (vin, environment, expiresAt) =>
      new SignJWT({ env: environment })
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
        const { payload } = await jwtVerify<{ env: unknown; sub: string; exp: number }>(token, key, {
          algorithms: ['HS256'],
          typ: 'fleetflag-vehicle+jwt',
          issuer: 'fleetflag',
          audience: 'fleetflag-gateway',
          requiredClaims: ['exp', 'sub', 'env'],
        });
        const environment = ENVIRONMENTS.find((name) => name === payload.env);
        const vin = payload.sub;
        if (environment === undefined || !VIN_PATTERN.test(vin)) throw new Error('malformed claims');
        return { caller: { kind: 'vehicle', vin, environment }, expiresAt: new Date(payload.exp * 1000) };
      } catch (cause) {
        throw new FleetFlagError('UNAUTHENTICATED', 'The vehicle token is not valid.', {}, { cause });
      }
    },
  };
}
