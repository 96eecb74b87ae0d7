import { describe, expect, it } from '@jest/globals';
import { SignJWT } from 'jose';
import { deriveKey } from './identity-token.ts';
import { createVehicleTokens } from './vehicle-token.ts';

const SECRET = 'a-secret-of-more-than-32-characters-x';
const VIN = 'KMH1234567890ABCD';
const unauthenticated = expect.objectContaining({ code: 'UNAUTHENTICATED' });

function token(claims: { sub?: string; env?: unknown }): Promise<string> {
  const { sub, env } = claims;
  const jwt = new SignJWT(env === undefined ? {} : { env })
    .setProtectedHeader({ alg: 'HS256', typ: 'fleetflag-vehicle+jwt' })
    .setIssuer('fleetflag')
    .setAudience('fleetflag-gateway')
    .setExpirationTime('1 hour');
  return (sub === undefined ? jwt : jwt.setSubject(sub)).sign(deriveKey(SECRET, 'vehicle-token'));
}

describe('vehicle tokens', () => {
  const tokens = createVehicleTokens(SECRET);

  it('name the vehicle, its environment and when they end', async () => {
    const expiresAt = new Date((Math.floor(Date.now() / 1000) + 3_600) * 1_000);
    const issued = await tokens.issue(VIN, 'staging', expiresAt);
    await expect(tokens.verify(issued)).resolves.toEqual({ caller: { kind: 'vehicle', vin: VIN, environment: 'staging' }, expiresAt });
  });

  it('are refused when expired, malformed or under another secret', async () => {
    await expect(tokens.verify(await tokens.issue(VIN, 'staging', new Date(Date.now() - 60_000)))).rejects.toThrow(unauthenticated);
    await expect(tokens.verify('no token')).rejects.toThrow(unauthenticated);
    await expect(createVehicleTokens(`${SECRET}y`).verify(await token({ sub: VIN, env: 'staging' }))).rejects.toThrow(unauthenticated);
  });

  it.each([
    ['no vehicle', { env: 'staging' }],
    ['a vehicle that is no VIN', { sub: 'admin', env: 'staging' }],
    ['no environment', { sub: VIN }],
    ['an unknown environment', { sub: VIN, env: 'moon' }],
  ])('are refused with %s, though rightly signed', async (_, claims) => {
    await expect(tokens.verify(await token(claims))).rejects.toThrow(unauthenticated);
  });
});
