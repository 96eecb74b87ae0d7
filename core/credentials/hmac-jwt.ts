/**
 * Signs and verifies JWTs with HMAC-SHA-256 (RFC 7519; HS256 of RFC 7518). The key is imported once and each signature
 * is one call of OpenSSL: a fleet that reconnects has thousands of tokens checked in a second. What is accepted is what
 * `jose` accepts (hmac-jwt.test.ts compares the two), except that no extension (`crit`) is understood.
 */
import { createHmac, createSecretKey, timingSafeEqual, type KeyObject } from 'node:crypto';
import { isObject, parseJson, type Members } from '../json/json-value.ts';

/** The claims that a token must make, besides a valid signature, to be accepted. */
export interface ExpectedClaims {
  /** The type in the header; compared as RFC 7515, section 4.1.9, says. */
  readonly typ: string;
  readonly audience: string;
  /** The issuer; any is accepted where it is not given. */
  readonly issuer?: string;
  /** Further claims that the token must have. */
  readonly required: readonly string[];
  /** The greatest age by `iat`, in seconds; any where it is not given. */
  readonly maxAgeSeconds?: number;
  /** The seconds by which the signer's clock may differ from this one; 0 where it is not given. */
  readonly clockToleranceSeconds?: number;
}

/** The form of a token: three parts in base64url, of which the last has 32 bytes. */
const COMPACT_FORM = /^[\w-]+\.[\w-]+\.[\w-]{43}$/;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Imports the bytes of a shared secret. */
export function importKey(bytes: Uint8Array): KeyObject {
  return createSecretKey(bytes);
}

const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

const signatureOf = (signed: string, key: KeyObject) => createHmac('sha256', key).update(signed).digest('base64url');

/** Gives a signed token with `claims`. */
export function signJwt(typ: string, claims: object, key: KeyObject): string {
  const signed = `${encoded({ alg: 'HS256', typ })}.${encoded(claims)}`;
  return `${signed}.${signatureOf(signed, key)}`;
}

/**
 * Gives the claims of `token`. Throws an Error that says which check it fails.
 *
 * @param nowMs milliseconds since 1970
 */
export function verifyJwt(token: string, key: KeyObject, expected: ExpectedClaims, nowMs: number): Members {
  if (!COMPACT_FORM.test(token)) throw new Error('it is no compact JWS with a signature of 32 bytes');
  const end = token.lastIndexOf('.');
  const signed = token.slice(0, end);
  // The signature is checked first, so that only what a holder of the key has written is parsed.
  if (!timingSafeEqual(Buffer.from(signatureOf(signed, key)), Buffer.from(token.slice(end + 1))))
    throw new Error('its signature is not ours');
  const middle = token.indexOf('.');
  checkHeader(decoded(signed.slice(0, middle)), expected.typ);
  const claims = decoded(signed.slice(middle + 1));
  checkPresence(claims, expected);
  checkParties(claims, expected);
  checkTimes(claims, expected, Math.floor(nowMs / 1_000));
  return claims;
}

function decoded(part: string): Members {
  const value = parseJson(utf8.decode(Buffer.from(part, 'base64url')));
  if (!isObject(value)) throw new Error('a part of it is no JSON object');
  return value;
}

/** The media type that `typ` abbreviates. */
function mediaType(typ: string): string {
  const lower = typ.toLowerCase();
  return typ.includes('/') ? lower : `application/${lower}`;
}

function checkHeader({ alg, typ, crit }: Members, expected: string): void {
  if (alg !== 'HS256') throw new Error('its algorithm is not HS256');
  if (crit !== undefined) throw new Error('it names extensions that must be understood');
  if (typeof typ !== 'string' || mediaType(typ) !== mediaType(expected)) throw new Error('it is of another type');
}

function checkPresence(claims: Members, { required, issuer, maxAgeSeconds }: ExpectedClaims): void {
  const all = ['aud', ...required];
  if (issuer !== undefined) all.push('iss');
  if (maxAgeSeconds !== undefined) all.push('iat');
  for (const claim of all) if (!Object.hasOwn(claims, claim)) throw new Error(`its claim "${claim}" is missing`);
}

function checkParties({ iss, aud }: Members, { issuer, audience }: ExpectedClaims): void {
  if (issuer !== undefined && iss !== issuer) throw new Error('it is from another issuer');
  const isMeant = Array.isArray(aud) ? aud.includes(audience) : aud === audience;
  if (!isMeant) throw new Error('it is for another audience');
}

/** Gives a claim in seconds since 1970; undefined where it is absent. */
function time(claims: Members, name: string): number | undefined {
  const value = claims[name];
  if (value !== undefined && typeof value !== 'number') throw new Error(`its claim "${name}" is no number`);
  return value;
}

function checkTimes(claims: Members, expected: ExpectedClaims, now: number): void {
  const { maxAgeSeconds, clockToleranceSeconds: tolerance = 0 } = expected;
  const [issuedAt, notBefore, expiresAt] = [time(claims, 'iat'), time(claims, 'nbf'), time(claims, 'exp')];
  if (notBefore !== undefined && notBefore > now + tolerance) throw new Error('it is not valid yet');
  if (expiresAt !== undefined && expiresAt <= now - tolerance) throw new Error('it has expired');
  if (maxAgeSeconds === undefined) return;
  const age = now - Number(issuedAt);
  if (age < -tolerance) throw new Error('it was issued in the future');
  if (age - tolerance > maxAgeSeconds) throw new Error('it is too old');
}
