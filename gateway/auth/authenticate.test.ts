import { describe, expect, test } from '@jest/globals';
import { FleetFlagError } from '../../core/errors.ts';
import { newSessionToken } from '../../core/protocol/session.ts';
import { createVehicleTokens } from '../../core/protocol/vehicle-token.ts';
import { VehicleTokenGenerations } from './vehicle-token-generations.ts';
import { authenticate, credentialsOf, type Credentials, type FindSession } from './authenticate.ts';

const VIN = 'KMHK281HGNU000001';
const SESSION = newSessionToken();
const EXPIRES = new Date((Math.floor(Date.now() / 1000) + 3_600) * 1_000);
const unauthenticated = expect.objectContaining({ code: 'UNAUTHENTICATED', message: 'The credentials are not valid.' });

const tokens = createVehicleTokens('a-secret-of-more-than-32-characters-x');
const generations = new VehicleTokenGenerations({ read: async () => [], ended: () => undefined, logger: { info: () => undefined, warn: () => undefined, error: () => undefined } });
const session = { caller: { kind: 'user', userId: 'u1', role: 'SAFETY' }, expiresAt: EXPIRES } as const;
const findSession: FindSession = async (token) => (token === SESSION ? session : null);
const whoIs = (credentials: Credentials, find = findSession) => authenticate(credentials, find, { tokens, generations });

describe('who is calling', () => {
  test('is nobody without credentials', async () => {
    expect(await whoIs({})).toEqual({ caller: { kind: 'nobody' }, expiresAt: null });
  });

  test('is the user of a session, until it ends', async () => {
    expect(await whoIs({ authorization: `Bearer ${SESSION}` })).toEqual(session);
    expect(await whoIs({ authorization: `bearer ${SESSION}` })).toEqual(session);
  });

  test('is the vehicle that a token names, until it ends', async () => {
    const token = await tokens.issue(VIN, 'staging', EXPIRES);
    expect(await whoIs({ authorization: `Bearer ${token}` })).toEqual({ caller: { kind: 'vehicle', vin: VIN, environment: 'staging' }, expiresAt: EXPIRES });
  });

  test('is refused with a vehicle token of a generation that has been revoked', async () => {
    const [former, present] = await Promise.all([4, 5].map((generation) => tokens.issue(VIN, 'staging', EXPIRES, generation)));
    await expect(whoIs({ authorization: `Bearer ${former}` })).resolves.toMatchObject({ caller: { vin: VIN } });
    generations.raise(VIN, 5);
    await expect(whoIs({ authorization: `Bearer ${former}` })).rejects.toEqual(unauthenticated);
    await expect(whoIs({ authorization: `Bearer ${present}` })).resolves.toMatchObject({ caller: { vin: VIN } });
  });

  test.each<[string, Credentials]>([
    ['a session that is not known', { authorization: `Bearer ${newSessionToken()}` }],
    ['no token', { authorization: 'Bearer ' }],
    ['an empty header', { authorization: '' }],
    ['another scheme', { authorization: `Basic ${SESSION}` }],
    ['the token alone', { authorization: SESSION }],
    ['two tokens', { authorization: `Bearer ${SESSION} ${SESSION}` }],
    ['a line after the token', { authorization: `Bearer ${SESSION}\nx` }],
    ['a token longer than any of ours', { authorization: `Bearer ${SESSION}${'x'.repeat(2_048)}` }],
    ['a key that is not known', { apiKey: 'unknown' }],
    ['an empty key', { apiKey: '' }],
    ['a good session beside a key that is not known', { authorization: `Bearer ${SESSION}`, apiKey: 'unknown' }],
  ])('is not nobody but refused with %s', async (_what, credentials) => {
    await expect(whoIs(credentials)).rejects.toEqual(unauthenticated);
  });

  test.each(['not-a-token', 'eyJhbGciOiJub25lIn0.e30.', 'a.b.c'])('is refused with the vehicle token %s', async (token) => {
    await expect(whoIs({ authorization: `Bearer ${token}` })).rejects.toEqual(expect.objectContaining({ code: 'UNAUTHENTICATED' }));
  });

  test('is refused with a vehicle token that has expired', async () => {
    const token = await tokens.issue(VIN, 'staging', new Date(Date.now() - 60_000));
    await expect(whoIs({ authorization: `Bearer ${token}` })).rejects.toEqual(expect.objectContaining({ code: 'UNAUTHENTICATED' }));
  });

  test('cannot be found out while sessions cannot be read, and that is not a refusal of the credentials', async () => {
    const unavailable = new FleetFlagError('SERVICE_UNAVAILABLE', 'Sessions cannot be read.');
    await expect(whoIs({ authorization: `Bearer ${SESSION}` }, () => Promise.reject(unavailable))).rejects.toBe(unavailable);
  });
});

describe('the credentials of a connection_init', () => {
  test('have the names of the headers, in any case', () => {
    expect(credentialsOf({ Authorization: 'Bearer x', other: 7 })).toEqual({ authorization: 'Bearer x', apiKey: undefined });
    expect(credentialsOf({ 'X-API-Key': 'k' })).toEqual({ authorization: undefined, apiKey: 'k' });
    expect(credentialsOf({})).toEqual({ authorization: undefined, apiKey: undefined });
  });

  test.each([{ authorization: 7 }, { authorization: null }, { 'x-api-key': { a: 1 } }])('are refused when they are no text: %j', (payload) => {
    expect(() => credentialsOf(payload)).toThrow(unauthenticated);
  });
});
