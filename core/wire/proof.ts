/**
 * The proof: what an environment consists of at one revision, signed. A vehicle compares its set with what it holds, so
 * that nobody between it and the control plane can take a change out unnoticed. Source: design.md, "Trust".
 *
 * Signing and verifying (compact JWS, EdDSA) happen at the edges; here is what is signed, and how a set is computed.
 */
import { createHash } from 'node:crypto';
import { isCount, isOneOf, membersOf } from '../json/json-value.ts';
import { ENVIRONMENTS, type Environment } from '../model.ts';

/** The JWS `typ` header of a proof: neither a definition nor a statement is ever taken for one. */
export const PROOF_JWS_TYPE = 'fleetflag-proof+jws';

/** The payload of a `proof`. */
export interface ProofPayload {
  readonly v: 2;
  readonly environment: Environment;
  /** A part of the environment; null for the whole. */
  readonly partition: null;
  readonly revision: number;
  /** Unix seconds at which the environment was known to stand there, by the control plane's clock. */
  readonly issuedAt: number;
  /** `setDigest` of the flags that live in the environment at `revision`. */
  readonly set: string;
  /** The nonce of the vehicle for which alone this proof was signed. */
  readonly nonce?: string;
}

/** One flag of a set. */
export interface SetMember {
  readonly key: string;
  readonly revision: number;
  /** `jwsDigest` of the flag's signed definition. */
  readonly digest: string;
}

/** 16 bytes in base64url without padding. */
const NONCE_PATTERN = /^[A-Za-z0-9_-]{22}$/;
/** A SHA-256 in base64url without padding. */
const DIGEST_PATTERN = /^[A-Za-z0-9_-]{43}$/;

/** Whether `value` has the form of a nonce: 22 base64url characters. */
export function isNonce(value: unknown): value is string {
  return typeof value === 'string' && NONCE_PATTERN.test(value);
}

function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('base64url');
}

/** The digest of a signed definition: SHA-256 of its compact JWS, in base64url. */
export function jwsDigest(jws: string): string {
  return sha256(jws);
}

/**
 * The digest of a set of flags: SHA-256, in base64url, of the canonical JSON (RFC 8785) of `[[key, revision, digest],
 * …]`, keys in the order of their bytes in UTF-8. Of no flags it is the digest of `[]`.
 *
 * @param members in any order, each key once
 */
export function setDigest(members: Iterable<SetMember>): string {
  const ordered = Array.from(members, (member) => ({ bytes: Buffer.from(member.key), member })).sort((a, b) =>
    a.bytes.compare(b.bytes),
  );
  // Of lists of text and whole numbers, JSON.stringify writes what RFC 8785 does: a vehicle needs no library for it.
  return sha256(JSON.stringify(ordered.map(({ member: { key, revision, digest } }) => [key, revision, digest])));
}

/**
 * Reads the payload of a proof whose signature has been verified. Members that are not known here are left out.
 *
 * @param payload any JSON value
 * @returns null where it is not a proof of this version, or of a part of an environment
 */
export function readProof(payload: unknown): ProofPayload | null {
  const {
    v,
    environment,
    partition,
    revision,
    issuedAt,
    set,
    nonce,
  }: { readonly [Name in keyof ProofPayload]?: unknown } = membersOf(payload);
  if (v !== 2 || partition !== null || !isOneOf(ENVIRONMENTS, environment) || !isCount(revision) || !isCount(issuedAt))
    return null;
  if (typeof set !== 'string' || !DIGEST_PATTERN.test(set)) return null;
  if (nonce !== undefined && !isNonce(nonce)) return null;
  return { v, environment, partition, revision, issuedAt, set, ...(nonce !== undefined && { nonce }) };
}
