/**
 * Public keys of signing keys, which vehicles pin and `/.well-known/jwks.json` serves. During a rotation more than one
 * is valid (docs/operations/key-rotation.md).
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, decodeProtectedHeader, exportJWK, type JWK } from 'jose';
import { membersOf, parseJson } from '../../../core/json/json-value.ts';

/**
 * An Ed25519 public key (RFC 8037). Its id is its thumbprint (RFC 7638), so that a key has the same id wherever it is
 * read.
 */
export interface PublicKey extends JWK {
  readonly kty: 'OKP';
  readonly crv: 'Ed25519';
  readonly x: string;
  readonly kid: string;
  readonly alg: 'EdDSA';
  readonly use: 'sig';
}

const PEM = /-----BEGIN ([A-Z ]+)-----[\s\S]+?-----END \1-----/g;

/** Gives the public key of a key object. Throws an Error for a key of another kind than Ed25519. */
export async function publicKeyOf(key: KeyObject): Promise<PublicKey> {
  if (key.asymmetricKeyType !== 'ed25519') throw new Error('not an Ed25519 key');
  const { x = '' } = await exportJWK(key);
  const kid = await calculateJwkThumbprint({ kty: 'OKP', crv: 'Ed25519', x });
  return { kty: 'OKP', crv: 'Ed25519', x, kid, alg: 'EdDSA', use: 'sig' };
}

/**
 * Reads all keys of a text: a JWK, a JWK set, or one or more PEMs. Of a private key, only the public half is used.
 *
 * @throws Error when one is not an Ed25519 key, or there is none; the message does not quote the text
 */
export async function readPublicKeys(text: string): Promise<PublicKey[]> {
  let keys: KeyObject[];
  try {
    keys = keyObjects(text.trim());
  } catch {
    // Without the cause: its message may quote a part of a private key.
    throw new Error('Expected an Ed25519 key as JWK, JWK set or PEM.');
  }
  if (keys.length === 0) throw new Error('It contains no key.');
  return Promise.all(keys.map(publicKeyOf));
}

/** A member of a JWK; what is no text is left out, and Node refuses the key without it. */
export function textIn(member: unknown): string | undefined {
  return typeof member === 'string' ? member : undefined;
}

function keyObjects(text: string): KeyObject[] {
  if (!text.startsWith('{')) return Array.from(text.matchAll(PEM), ([pem]) => createPublicKey(pem));
  const json = parseJson(text);
  const { keys } = membersOf(json);
  const jwks: readonly unknown[] = Array.isArray(keys) ? keys : [json];
  return jwks.map((jwk) => {
    const { kty, crv, x } = membersOf(jwk);
    return createPublicKey({ key: { kty: textIn(kty), crv: textIn(crv), x: textIn(x) }, format: 'jwk' });
  });
}

/** Gives the id of the key that a compact JWS names in its header; null when it names none. */
export function signingKeyId(jws: string): string | null {
  try {
    return decodeProtectedHeader(jws).kid ?? null;
  } catch {
    return null;
  }
}
