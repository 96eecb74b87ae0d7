import { describe, expect, test } from '@jest/globals';
import { FleetFlagError } from '../../core/errors.ts';
import { apiKeyHash, newApiKey } from '../../core/credentials/api-key.ts';
import { newSessionToken, sessionKey } from '../../core/credentials/session.ts';
import { createVehicleTokens } from '../../core/credentials/vehicle-token.ts';
import type { ApiKeyCredential } from '../../core/credentials/api-key.ts';
import { VehicleTokenGenerations } from './vehicle-token-generations.ts';
import { authenticate, credentialsOf, type Credentials, type FindSession } from './authenticate.ts';
import { FailedCredentials, MAX_FAILURES } from '../../core/credentials/failed-credentials.ts';

const VIN = 'KMHK281HGNU000001';
const SESSION = newSessionToken();
const EXPIRES = new Date((Math.floor(Date.now() / 1000) + 3_600) * 1_000);
const unauthenticated = expect.objectContaining({ code: 'UNAUTHENTICATED', message: 'The credentials are not valid.' });

const tokens = createVehicleTokens('a-secret-of-more-than-32-characters-x');
const session = {
  caller: { kind: 'user', userId: 'u1', role: 'SAFETY', sessionKey: sessionKey(SESSION) },
  expiresAt: EXPIRES,
} as const;
const findSession: FindSession = async (token) => (token === SESSION ? session : null);
const KEY = newApiKey();
const key: ApiKeyCredential = { id: 'k1', role: 'WRITE', rateLimitPerMin: 60, expiresAt: EXPIRES };
const apiKeys = { known: () => null, find: async (hash: string) => (hash === apiKeyHash(KEY) ? key : null) };
const sources = () => ({ findSession, apiKeys, vehicles: { tokens, generations }, failures: new FailedCredentials() });
const whoIs = (credentials: Credentials, over: Partial<ReturnType<typeof sources>> = {}) =>
  authenticate(credentials, '192.0.2.1', { ...sources(), ...over });
const generations = new VehicleTokenGenerations({
  read: async () => [],
  ended: () => undefined,
  logger: { info: () => undefined, warn: () => undefined, error: () => undefined },
});

describe('the caller', () => {
  test('is anonymous without credentials', async () => {
    expect(await whoIs({})).toEqual({ caller: { kind: 'anonymous' }, expiresAt: null, credential: null });
  });

  test('is the user of a session, until it ends', async () => {
    const expected = { ...session, credential: sessionKey(SESSION) };
    expect(await whoIs({ authorization: `Bearer ${SESSION}` })).toEqual(expected);
    expect(await whoIs({ authorization: `bearer ${SESSION}` })).toEqual(expected);
  });

  test('is the API key, with its rate, until it expires', async () => {
    expect(await whoIs({ apiKey: KEY })).toEqual({
      caller: { kind: 'apiKey', apiKeyId: 'k1', role: 'WRITE', rateLimitPerMin: 60 },
      expiresAt: EXPIRES,
      credential: apiKeyHash(KEY),
    });
  });

  test('is the vehicle that a token names, until it ends', async () => {
    const token = await tokens.issue(VIN, 'staging', EXPIRES);
    expect(await whoIs({ authorization: `Bearer ${token}` })).toEqual({
      caller: { kind: 'vehicle', vin: VIN, environment: 'staging' },
      expiresAt: EXPIRES,
      credential: null,
    });
  });

  test('is refused with a vehicle token of a generation that has been revoked', async () => {
    const [former, present] = await Promise.all(
      [4, 5].map((generation) => tokens.issue(VIN, 'staging', EXPIRES, generation)),
    );
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
    ['two tokens', { authorization: `Bearer ${SESSION} ${SESSION}` }],
    ['a line after the token', { authorization: `Bearer ${SESSION}\nx` }],
    ['a token longer than any of ours', { authorization: `Bearer ${SESSION}${'x'.repeat(2_048)}` }],
    ['a key that is not known', { apiKey: newApiKey() }],
    ['a text that does not have the form of a key', { apiKey: 'unknown' }],
    ['a key and something after it', { apiKey: `${KEY} ` }],
    ['an empty key', { apiKey: '' }],
    ['a key that was cut off', { apiKey: KEY.slice(0, -1) }],
    ['a token of unknown form', { authorization: 'Bearer a.b.c' }],
  ])('is refused, and not taken for an anonymous caller, with %s', async (_what, credentials) => {
    await expect(whoIs(credentials)).rejects.toEqual(unauthenticated);
  });

  test.each<[string, Credentials | (() => Promise<Credentials>), string]>([
    [
      'an API key as Bearer',
      { authorization: `Bearer ${KEY}` },
      'This is an API key: send it in the header x-api-key.',
    ],
    [
      'an API key as Bearer that is not known',
      { authorization: `Bearer ${newApiKey()}` },
      'This is an API key: send it in the header x-api-key.',
    ],
    ['an API key as authorization', { authorization: KEY }, 'This is an API key: send it in the header x-api-key.'],
    [
      'a session as authorization alone',
      { authorization: SESSION },
      'This is a session token: send it in the header authorization, as Bearer <token>.',
    ],
    [
      'a session as a key',
      { apiKey: SESSION },
      'This is a session token: send it in the header authorization, as Bearer <token>.',
    ],
    [
      "a vehicle's token as a key",
      async () => ({ apiKey: await tokens.issue(VIN, 'staging', EXPIRES) }),
      'This is a vehicle token: send it in the header authorization, as Bearer <token>.',
    ],
    [
      'a session beside a key',
      { authorization: `Bearer ${SESSION}`, apiKey: KEY },
      'Send either authorization or x-api-key, not both: they name two callers.',
    ],
    [
      'a session beside a key that is not known',
      { authorization: `Bearer ${SESSION}`, apiKey: 'unknown' },
      'Send either authorization or x-api-key, not both: they name two callers.',
    ],
  ])(
    'gets the header in which a misplaced credential belongs, and nothing is looked up: %s',
    async (_what, credentials, message) => {
      const asked = () => Promise.reject(new Error('asked'));
      await expect(
        whoIs(typeof credentials === 'function' ? await credentials() : credentials, {
          findSession: asked,
          apiKeys: { known: () => null, find: asked },
        }),
      ).rejects.toEqual(expect.objectContaining({ code: 'UNAUTHENTICATED', message }));
    },
  );

  test.each(['not-a-token', 'eyJhbGciOiJub25lIn0.e30.', 'a.b.c'])(
    'is refused with the vehicle token %s',
    async (token) => {
      await expect(whoIs({ authorization: `Bearer ${token}` })).rejects.toEqual(
        expect.objectContaining({ code: 'UNAUTHENTICATED' }),
      );
    },
  );

  test('is refused with a vehicle token that has expired', async () => {
    const token = await tokens.issue(VIN, 'staging', new Date(Date.now() - 60_000));
    await expect(whoIs({ authorization: `Bearer ${token}` })).rejects.toEqual(
      expect.objectContaining({ code: 'UNAUTHENTICATED' }),
    );
  });

  test('is unknown while sessions or keys cannot be read, and the error does not call the credentials wrong', async () => {
    const unavailable = new FleetFlagError('SERVICE_UNAVAILABLE', 'Sessions cannot be read.');
    await expect(
      whoIs({ authorization: `Bearer ${SESSION}` }, { findSession: () => Promise.reject(unavailable) }),
    ).rejects.toBe(unavailable);
    await expect(
      whoIs({ apiKey: KEY }, { apiKeys: { known: () => null, find: () => Promise.reject(unavailable) } }),
    ).rejects.toBe(unavailable);
  });

  test('is not looked up where a key does not have the form of one', async () => {
    const find = () => Promise.reject(new Error('asked'));
    for (const apiKey of ['', 'ff_api_key_x', 'x'.repeat(100_000)])
      await expect(whoIs({ apiKey }, { apiKeys: { known: () => null, find } })).rejects.toEqual(unauthenticated);
  });

  test('is not looked up after too many wrong credentials of an address, unless the credential was valid before', async () => {
    const failures = new FailedCredentials();
    await whoIs({ apiKey: KEY }, { failures });
    for (let times = 0; times < MAX_FAILURES; times++) {
      const wrong = times % 2 === 0 ? { apiKey: newApiKey() } : { authorization: `Bearer ${newSessionToken()}` };
      await expect(whoIs(wrong, { failures })).rejects.toEqual(unauthenticated);
    }
    const limited = expect.objectContaining({ code: 'RATE_LIMITED', details: { retryAfter: expect.any(Number) } });
    await expect(
      whoIs(
        { apiKey: newApiKey() },
        { failures, apiKeys: { known: () => null, find: () => Promise.reject(new Error('asked')) } },
      ),
    ).rejects.toEqual(limited);
    await expect(whoIs({ authorization: `Bearer ${newSessionToken()}` }, { failures })).rejects.toEqual(limited);
    expect(await whoIs({ apiKey: KEY }, { failures })).toMatchObject({ caller: { apiKeyId: 'k1' } });
    const vin = 'KMHK281HGNU000009';
    expect(
      await whoIs({ authorization: `Bearer ${await tokens.issue(vin, 'staging', EXPIRES)}` }, { failures }),
    ).toMatchObject({ caller: { vin } });
    expect(
      await authenticate({ authorization: `Bearer ${SESSION}` }, '192.0.2.2', { ...sources(), failures }),
    ).toMatchObject({ caller: { userId: 'u1' } });
  });
});

describe('the credentials of a connection_init', () => {
  test('have the names of the headers, in any case', () => {
    expect(credentialsOf({ Authorization: 'Bearer x', other: 7 })).toEqual({
      authorization: 'Bearer x',
      apiKey: undefined,
    });
    expect(credentialsOf({ 'X-API-Key': 'k' })).toEqual({ authorization: undefined, apiKey: 'k' });
    expect(credentialsOf({})).toEqual({ authorization: undefined, apiKey: undefined });
  });

  test.each([{ authorization: 7 }, { authorization: null }, { 'x-api-key': { a: 1 } }])(
    'are refused when they are no text: %j',
    (payload) => {
      expect(() => credentialsOf(payload)).toThrow(unauthenticated);
    },
  );
});
