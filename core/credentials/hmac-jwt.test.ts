import { createHmac } from 'node:crypto';
import { describe, expect, it, test } from '@jest/globals';
import fc from 'fast-check';
import { SignJWT, decodeProtectedHeader, jwtVerify } from 'jose';
import { rounds } from '../testing/rounds.ts';
import { importKey, signJwt, verifyJwt, type ExpectedClaims } from './hmac-jwt.ts';

const SECRET = new Uint8Array(32).fill(7);
const KEY = importKey(SECRET);
const NOW_S = 1_800_000_000;
const EXPECTED: ExpectedClaims = { typ: 'vehicle+jwt', issuer: 'us', audience: 'gateway', required: ['exp', 'sub'] };
const GOOD = { iss: 'us', aud: 'gateway', sub: 'KMH1234567890ABCD', iat: NOW_S - 5, exp: NOW_S + 60 };
const HEADER = { alg: 'HS256', typ: 'vehicle+jwt' };

const part = (value: unknown) =>
  (Buffer.isBuffer(value) ? value : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))).toString(
    'base64url',
  );

/** A token of any header and claims; texts and bytes stand for JSON that is none. */
function tokenOf(header: unknown, claims: unknown, secret: Uint8Array = SECRET, hash = 'sha256'): string {
  const signed = `${part(header)}.${part(claims)}`;
  return `${signed}.${createHmac(hash, secret).update(signed).digest('base64url')}`;
}

const verify = (token: string, expected = EXPECTED) => verifyJwt(token, KEY, expected, NOW_S * 1_000 + 999);

describe('a token', () => {
  it('that we have signed is read by us and by others who have the key', async () => {
    const token = signJwt('vehicle+jwt', GOOD, KEY);
    expect(verify(token)).toEqual(GOOD);
    expect(decodeProtectedHeader(token)).toEqual(HEADER);
    expect((await jwtVerify(token, SECRET, { currentDate: new Date(NOW_S * 1_000) })).payload).toEqual(GOOD);
  });

  it('that others have signed with the key is read by us', async () => {
    const token = await new SignJWT(GOOD).setProtectedHeader(HEADER).sign(SECRET);
    expect(verify(token)).toEqual(GOOD);
  });

  const forged = tokenOf(HEADER, GOOD);
  const signature = forged.slice(forged.lastIndexOf('.') + 1);
  test.each<[string, string, RegExp]>([
    ['nothing', '', /no compact JWS/],
    ['no signature', forged.slice(0, forged.lastIndexOf('.') + 1), /no compact JWS/],
    ['a part too many', `${forged}.${signature}`, /no compact JWS/],
    ['a signature of another length', tokenOf(HEADER, GOOD, SECRET, 'sha512'), /no compact JWS/],
    ['a signature under another key', tokenOf(HEADER, GOOD, new Uint8Array(32)), /not ours/],
    ['claims of another token', `${part(HEADER)}.${part({ ...GOOD, sub: 'x' })}.${signature}`, /not ours/],
    ['the algorithm none', tokenOf({ ...HEADER, alg: 'none' }, GOOD), /algorithm/],
    ['an algorithm of public keys', tokenOf({ ...HEADER, alg: 'RS256' }, GOOD), /algorithm/],
    ['an extension', tokenOf({ ...HEADER, crit: ['exp'] }, GOOD), /extensions/],
    ['another type', tokenOf({ ...HEADER, typ: 'identity+jwt' }, GOOD), /another type/],
    ['no type', tokenOf({ alg: 'HS256' }, GOOD), /another type/],
    ['a header that is no object', tokenOf([HEADER], GOOD), /no JSON object/],
    ['claims that are no JSON', tokenOf(HEADER, 'x'), /JSON/],
    ['claims that are no UTF-8', tokenOf(HEADER, Buffer.from([0x22, 0xff, 0x22])), /not valid/],
    ['no audience', tokenOf(HEADER, { ...GOOD, aud: undefined }), /"aud" is missing/],
    ['another audience', tokenOf(HEADER, { ...GOOD, aud: 'subgraph' }), /another audience/],
    ['several audiences without ours', tokenOf(HEADER, { ...GOOD, aud: ['a', 'b'] }), /another audience/],
    ['no issuer', tokenOf(HEADER, { ...GOOD, iss: undefined }), /"iss" is missing/],
    ['another issuer', tokenOf(HEADER, { ...GOOD, iss: 'them' }), /another issuer/],
    ['no end', tokenOf(HEADER, { ...GOOD, exp: undefined }), /"exp" is missing/],
    ['an end that is no number', tokenOf(HEADER, { ...GOOD, exp: '9' }), /"exp" is no number/],
    ['an end at this second', tokenOf(HEADER, { ...GOOD, exp: NOW_S }), /expired/],
    ['a beginning in the next second', tokenOf(HEADER, { ...GOOD, nbf: NOW_S + 1 }), /not valid yet/],
    ['a beginning that is no number', tokenOf(HEADER, { ...GOOD, nbf: null }), /"nbf" is no number/],
    ['no subject', tokenOf(HEADER, { ...GOOD, sub: undefined }), /"sub" is missing/],
  ])('with %s is refused, and why is said', (_, token, why) => {
    expect(() => verify(token)).toThrow(why);
  });

  test.each<[string, object, RegExp | null]>([
    ['as old as may be', { iat: NOW_S - 30 }, null],
    ['of this second', { iat: NOW_S }, null],
    ['too old', { iat: NOW_S - 31 }, /too old/],
    ['of the next second', { iat: NOW_S + 1 }, /in the future/],
    ['of no time', { iat: undefined }, /"iat" is missing/],
  ])('%s is judged by its age where there is a greatest one', (_, claims, why) => {
    const aged: ExpectedClaims = { typ: 'vehicle+jwt', audience: 'gateway', required: [], maxAgeSeconds: 30 };
    const judged = () => verify(tokenOf(HEADER, { ...GOOD, ...claims }), aged);
    if (why === null) expect(judged()).toMatchObject(claims);
    else expect(judged).toThrow(why);
  });

  test.each<[string, object, RegExp | null]>([
    ['that expired within the tolerance', { exp: NOW_S - 9 }, null],
    ['that expired before it', { exp: NOW_S - 10 }, /expired/],
    ['that begins within it', { nbf: NOW_S + 10 }, null],
    ['that begins after it', { nbf: NOW_S + 11 }, /not valid yet/],
    ['that was issued by a clock as far ahead', { iat: NOW_S + 10 }, null],
    ['that was issued by a clock further ahead', { iat: NOW_S + 11 }, /in the future/],
    ['that is older by as much', { iat: NOW_S - 40 }, null],
    ['that is older by more', { iat: NOW_S - 41 }, /too old/],
  ])('%s is judged by clocks that may differ', (_, claims, why) => {
    const expected = { ...EXPECTED, maxAgeSeconds: 30, clockToleranceSeconds: 10 };
    const judged = () => verify(tokenOf(HEADER, { ...GOOD, ...claims }), expected);
    if (why === null) expect(judged()).toMatchObject(claims);
    else expect(judged).toThrow(why);
  });
});

/** `good` most of the time, so that several members are right at once. */
const mostly = <T>(good: T, ...others: readonly unknown[]) =>
  fc.oneof({ arbitrary: fc.constant<unknown>(good), weight: 8 }, { arbitrary: fc.constantFrom(...others), weight: 2 });
const seconds = (good: number) =>
  mostly(good, undefined, null, `${NOW_S + 60}`, NOW_S - 31, NOW_S - 30, NOW_S, NOW_S + 0.5, NOW_S + 1, -1, 1e300, []);
const claims = fc.record({
  iss: mostly('us', undefined, null, 'them', ['us'], 1),
  aud: mostly('gateway', undefined, null, 'Gateway', ['gateway'], ['a', 'gateway'], ['a'], [], { gateway: 1 }),
  sub: mostly('KMH1234567890ABCD', undefined, null, '', 1),
  iat: seconds(NOW_S - 5),
  nbf: seconds(NOW_S - 5),
  exp: seconds(NOW_S + 60),
  more: fc.jsonValue(),
});
const header = fc.record({
  alg: mostly('HS256', undefined, 'none', 'None', 'HS384', 'HS512', 'RS256', 'ES256', '', null, ['HS256']),
  typ: mostly('vehicle+jwt', undefined, 'VEHICLE+JWT', 'application/vehicle+jwt', 'text/vehicle+jwt', 'JWT', null, 1),
  crit: mostly(undefined, [], ['exp'], ['x'], 'b64', null),
  kid: fc.jsonValue(),
});
const tokens = fc
  .record({
    header: fc.oneof(
      { arbitrary: header, weight: 9 },
      { arbitrary: fc.constantFrom('', '{', 'null', '[]'), weight: 1 },
    ),
    claims: fc.oneof(
      { arbitrary: claims, weight: 9 },
      { arbitrary: fc.constantFrom('{', 'null', '[]', '1'), weight: 1 },
    ),
    secret: mostly('right', 'wrong'),
    // The place of the character that is replaced; null for none.
    damage: fc.oneof({ arbitrary: fc.constant(null), weight: 9 }, { arbitrary: fc.nat(100), weight: 1 }),
  })
  .map(({ header, claims, secret, damage }) => {
    const token = tokenOf(header, claims, secret === 'right' ? SECRET : new Uint8Array(32));
    if (damage === null) return token;
    const at = Math.floor((token.length * damage) / 101);
    return `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`;
  });

test.each<[string, ExpectedClaims]>([
  ['without a greatest age', EXPECTED],
  [
    'with a greatest age and any issuer',
    { typ: 'vehicle+jwt', audience: 'gateway', required: ['exp'], maxAgeSeconds: 30 },
  ],
  ['with clocks that may differ', { ...EXPECTED, maxAgeSeconds: 29, clockToleranceSeconds: 1 }],
])('whatever a token says, it is accepted exactly where jose accepts it, %s', async (_, expected) => {
  const { required, maxAgeSeconds, clockToleranceSeconds, ...same } = expected;
  const options = {
    ...same,
    algorithms: ['HS256'],
    requiredClaims: [...required],
    ...(maxAgeSeconds !== undefined && { maxTokenAge: maxAgeSeconds }),
    ...(clockToleranceSeconds !== undefined && { clockTolerance: clockToleranceSeconds }),
    currentDate: new Date(NOW_S * 1_000 + 999),
  };
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(tokens, async (token) => {
      const byJose = await jwtVerify(token, SECRET, options).then(
        ({ payload }) => payload,
        () => null,
      );
      const byUs = (() => {
        try {
          return verify(token, expected);
        } catch {
          return null;
        }
      })();
      expect(byUs).toEqual(byJose);
      if (byUs !== null) accepted += 1;
    }),
    { numRuns: rounds(500, 10_000) },
  );
  expect(accepted).toBeGreaterThan(0);
});
