import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { SignJWT } from 'jose';
import type { CallerIdentity } from '../access/caller.ts';
import { createIdentityTokens, deriveKey, signedBody, type ReplayGuard } from './identity-token.ts';
import { createVehicleTokens } from './vehicle-token.ts';

const SECRET = 'a-secret-of-more-than-32-characters-x';
const BODY = signedBody({ query: '{ me { kind } }' });
const identity: CallerIdentity = {
  caller: { kind: 'user', userId: '6f1f7b0e-5d2f-4d53-9a57-0d4e21a4d8c1', role: 'WRITE', sessionKey: 'session:x' },
  origin: { ipAddress: '192.0.2.1', userAgent: null, requestId: 'b7e23ec2-9af0-4f5b-8a2b-3f1e6f4a1c11' },
};
/** A replay guard that never forgets a token. */
function memory(): ReplayGuard & { readonly expiries: Date[] } {
  const ids = new Set<string>();
  const expiries: Date[] = [];
  return {
    expiries,
    async isReplay(id, expiresAt) {
      expiries.push(expiresAt);
      return ids.size === ids.add(id).size;
    },
  };
}
const unauthenticated = expect.objectContaining({ code: 'UNAUTHENTICATED' });

describe('identity tokens', () => {
  afterEach(() => void jest.useRealTimers());
  const tokens = createIdentityTokens(SECRET);

  it('carry the identity to the subgraph for which they were made', async () => {
    const token = await tokens.sign(identity, 'flags', BODY);
    await expect(createIdentityTokens(SECRET).verify(token, 'flags', BODY, memory())).resolves.toEqual(identity);
  });

  it('of a gateway of the version before, which calls an anonymous caller nobody, are understood', async () => {
    const former: CallerIdentity = {
      ...identity,
      caller: Object.assign({ kind: 'gateway' as const }, { kind: 'nobody' }),
    };
    await expect(tokens.verify(await tokens.sign(former, 'flags', BODY), 'flags', BODY, memory())).resolves.toEqual({
      ...identity,
      caller: { kind: 'anonymous' },
    });
  });

  it('differ each time', async () => {
    expect(await tokens.sign(identity, 'flags', BODY)).not.toBe(await tokens.sign(identity, 'flags', BODY));
  });

  it('are accepted once, and a refused token does not count as used', async () => {
    const seen = memory();
    const token = await tokens.sign(identity, 'flags', BODY);
    await expect(tokens.verify(token, 'audit', BODY, seen)).rejects.toThrow(unauthenticated);
    expect(seen.expiries).toEqual([]);
    await expect(tokens.verify(token, 'flags', BODY, seen)).resolves.toEqual(identity);
    await expect(tokens.verify(token, 'flags', BODY, seen)).rejects.toThrow(unauthenticated);
    await expect(tokens.verify(await tokens.sign(identity, 'flags', BODY), 'flags', BODY, seen)).resolves.toEqual(
      identity,
    );
    expect(seen.expiries[0]?.getTime()).toBeGreaterThan(Date.now());
  });

  it('are refused when missing, for another subgraph, with another body, or under another secret', async () => {
    const token = await tokens.sign(identity, 'flags', BODY);
    await expect(tokens.verify(undefined, 'flags', BODY, memory())).rejects.toThrow(unauthenticated);
    await expect(tokens.verify(token, 'audit', BODY, memory())).rejects.toThrow(unauthenticated);
    await expect(
      tokens.verify(token, 'flags', signedBody({ query: '{ users { totalCount } }' }), memory()),
    ).rejects.toThrow(unauthenticated);
    await expect(createIdentityTokens(`${SECRET}y`).verify(token, 'flags', BODY, memory())).rejects.toThrow(
      unauthenticated,
    );
  });

  it('are refused when they have expired', async () => {
    const past = Math.floor(Date.now() / 1000) - 3_600;
    const token = await new SignJWT({ identity, body: '' })
      .setProtectedHeader({ alg: 'HS256', typ: 'fleetflag-identity+jwt' })
      .setAudience('flags')
      .setJti('1')
      .setIssuedAt(past)
      .setExpirationTime(past + 30)
      .sign(deriveKey(SECRET, 'gateway-to-subgraph'));
    await expect(tokens.verify(token, 'flags', '', memory())).rejects.toThrow(unauthenticated);
  });

  it.each([
    [-35, true],
    [9, true],
    [-45, false],
    [12, false],
  ])('of a gateway whose clock is %d s ahead are accepted: %s', async (aheadSeconds, isAccepted) => {
    const now = Date.now();
    jest.useFakeTimers({ now: now + aheadSeconds * 1_000 });
    const token = await tokens.sign(identity, 'flags', BODY);
    jest.setSystemTime(now);
    const verified = tokens.verify(token, 'flags', BODY, memory());
    await (isAccepted
      ? expect(verified).resolves.toEqual(identity)
      : expect(verified).rejects.toThrow(unauthenticated));
  });

  it('are refused for their age from the time on at which the record of their use may go', async () => {
    jest.useFakeTimers();
    const token = await tokens.sign(identity, 'flags', BODY);
    const seen = memory();
    await tokens.verify(token, 'flags', BODY, seen);
    const end = seen.expiries[0]!.getTime();
    jest.setSystemTime(end - 1);
    await expect(tokens.verify(token, 'flags', BODY, memory())).resolves.toEqual(identity);
    jest.setSystemTime(end);
    await expect(tokens.verify(token, 'flags', BODY, memory())).rejects.toThrow(unauthenticated);
  });

  it('cannot be replaced by a vehicle token of the same secret', async () => {
    const token = await createVehicleTokens(SECRET).issue(
      'KMH1234567890ABCD',
      'production',
      new Date(Date.now() + 60_000),
    );
    await expect(tokens.verify(token, 'flags', BODY, memory())).rejects.toThrow(unauthenticated);
  });
});

describe('signedBody', () => {
  it('is the same however the variables are ordered, and different for another operation', () => {
    const query = 'query A($a: Int, $b: Int) { a } query B { b }';
    const body = signedBody({ query, operationName: 'A', variables: { a: 1, b: 2 } });
    expect(signedBody({ query, operationName: 'A', variables: { b: 2, a: 1 } })).toBe(body);
    expect(signedBody({ query, operationName: 'B', variables: { a: 1, b: 2 } })).not.toBe(body);
    expect(signedBody({ query, operationName: 'A', variables: { a: 1, b: 3 } })).not.toBe(body);
    expect(signedBody({ query, operationName: 'A' })).not.toBe(body);
  });

  it('treats absent members like undefined ones', () => {
    expect(signedBody({ query: '{ a }' })).toBe(
      signedBody({ query: '{ a }', operationName: undefined, variables: undefined }),
    );
  });
});

describe('deriveKey', () => {
  it('gives 32 bytes that are bound to the purpose', () => {
    expect(deriveKey(SECRET, 'a')).toHaveLength(32);
    expect(deriveKey(SECRET, 'a')).toEqual(deriveKey(SECRET, 'a'));
    expect(deriveKey(SECRET, 'a')).not.toEqual(deriveKey(SECRET, 'b'));
  });
});
