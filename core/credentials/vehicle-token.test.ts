import { describe, expect, it } from '@jest/globals';
import { SignJWT } from 'jose';
import { deriveKey } from './identity-token.ts';
import { createVehicleTokens } from './vehicle-token.ts';

const SECRET = 'a-secret-of-more-than-32-characters-x';
const VIN = 'KMH1234567890ABCD';
const unauthenticated = expect.objectContaining({ code: 'UNAUTHENTICATED' });

function token(claims: { sub?: string; env?: unknown; gen?: unknown }): Promise<string> {
  const { sub, ...others } = claims;
  const jwt = new SignJWT(others)
    .setProtectedHeader({ alg: 'HS256', typ: 'fleetflag-vehicle+jwt' })
    .setIssuer('fleetflag')
    .setAudience('fleetflag-gateway')
    .setExpirationTime('1 hour');
  return (sub === undefined ? jwt : jwt.setSubject(sub)).sign(deriveKey(SECRET, 'vehicle-token'));
}

describe('vehicle tokens', () => {
  const tokens = createVehicleTokens(SECRET);

  it('name the vehicle, its environment, its generation and when they end', async () => {
    const expiresAt = new Date((Math.floor(Date.now() / 1000) + 3_600) * 1_000);
    const verified = { caller: { kind: 'vehicle', vin: VIN, environment: 'staging' }, expiresAt };
    await expect(tokens.verify(await tokens.issue(VIN, 'staging', expiresAt))).resolves.toEqual({
      ...verified,
      generation: 0,
    });
    await expect(tokens.verify(await tokens.issue(VIN, 'staging', expiresAt, 3))).resolves.toEqual({
      ...verified,
      generation: 3,
    });
  });

  it('without a generation belong to the first', async () => {
    await expect(tokens.verify(await token({ sub: VIN, env: 'staging' }))).resolves.toMatchObject({ generation: 0 });
  });

  it('are refused when expired, malformed or under another secret', async () => {
    await expect(tokens.verify(await tokens.issue(VIN, 'staging', new Date(Date.now() - 60_000)))).rejects.toThrow(
      unauthenticated,
    );
    await expect(tokens.verify('no token')).rejects.toThrow(unauthenticated);
    await expect(createVehicleTokens(`${SECRET}y`).verify(await token({ sub: VIN, env: 'staging' }))).rejects.toThrow(
      unauthenticated,
    );
  });

  it.each([
    ['no vehicle', { env: 'staging' }],
    ['a vehicle that is no VIN', { sub: 'admin', env: 'staging' }],
    ['no environment', { sub: VIN }],
    ['an unknown environment', { sub: VIN, env: 'moon' }],
    ['a negative generation', { sub: VIN, env: 'staging', gen: -1 }],
    ['a generation that is no number', { sub: VIN, env: 'staging', gen: '1' }],
  ])('are refused with %s, though their signature is right', async (_, claims) => {
    await expect(tokens.verify(await token(claims))).rejects.toThrow(unauthenticated);
  });
});
