/**
 * Proofs: signed statements of which flags an environment consists of at one revision. A vehicle compares a proof's set
 * with the flags that it holds, so that nobody between it and the control plane can remove a change unnoticed. Source:
 * design.md, "Trust".
 *
 * The server signs proofs and the agent verifies them (compact JWS, EdDSA); this file says what is signed and how a set
 * is computed.
 */
import { createHash } from 'node:crypto';
import { isCount, isOneOf, membersOf } from '../../json/json-value.ts';
import { ENVIRONMENTS, VIN_PATTERN, type Environment } from '../../model.ts';

/** The JWS `typ` header of a proof, so that neither a definition nor a statement is ever accepted as one. */
export const PROOF_JWS_TYPE = 'fleetflag-proof+jws';

/** The payload of a `proof`. */
export interface ProofPayload {
  readonly v: 2;
  readonly environment: Environment;
  /**
   * The partition that the proof is about (core/partitions/partition.ts). Null in the form for agents that know no
   * partitions: such a proof is about what its receiver gets, whatever that is.
   */
  readonly partition: string | null;
  readonly revision: number;
  /** The Unix seconds at which the environment stood at `revision`, by the control plane's clock. */
  readonly issuedAt: number;
  /** `setDigest` of the flags that live in the environment at `revision`. */
  readonly set: string;
  /** The nonce of the only vehicle for which this proof was signed; absent in a proof for all vehicles. */
  readonly nonce?: string;
  /** The VIN of that vehicle: the proof then assigns the partition to it. Only with a nonce and a partition. */
  readonly vin?: string;
}

/** One flag of a set. */
export interface SetMember {
  readonly key: string;
  readonly revision: number;
  /** `jwsDigest` of the flag's signed definition. */
  readonly digest: string;
}

/** The most characters of a partition's name: those of a model. */
const MAX_PARTITION_LENGTH = 100;

/** The form of a nonce: 16 bytes in base64url without padding. */
const NONCE_PATTERN = /^[A-Za-z0-9_-]{22}$/;
/** The form of a digest: a SHA-256 in base64url without padding. */
const DIGEST_PATTERN = /^[A-Za-z0-9_-]{43}$/;

/** Says whether `value` has the form of a nonce: 22 base64url characters. */
export function isNonce(value: unknown): value is string {
  return typeof value === 'string' && NONCE_PATTERN.test(value);
}

function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('base64url');
}

/** Gives the digest of a signed definition: the SHA-256 of its compact JWS, in base64url. */
export function jwsDigest(jws: string): string {
  return sha256(jws);
}

/**
 * Gives the digest of a set of flags: the SHA-256, in base64url, of the canonical JSON (RFC 8785) of `[[key, revision,
 * digest], …]`. The keys are in the order of their bytes in UTF-8. An empty set has the digest of `[]`.
 *
 * @param members the flags in any order, each key once
 */
export function setDigest(members: Iterable<SetMember>): string {
  const ordered = Array.from(members, (member) => ({ bytes: Buffer.from(member.key), member })).sort((a, b) =>
    a.bytes.compare(b.bytes),
  );
  // JSON.stringify writes lists of text and whole numbers as RFC 8785 does, so the vehicle needs no library for it.
  return sha256(JSON.stringify(ordered.map(({ member: { key, revision, digest } }) => [key, revision, digest])));
}

/**
 * Reads the payload of a proof whose signature has been verified. Unknown members are left out.
 *
 * @param payload any JSON value
 * @returns null for a payload that is not a proof of this version
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
    vin,
  }: { readonly [Name in keyof ProofPayload]?: unknown } = membersOf(payload);
  if (
    v !== 2 ||
    !isPartition(partition) ||
    !isOneOf(ENVIRONMENTS, environment) ||
    !isCount(revision) ||
    !isCount(issuedAt)
  )
    return null;
  if (typeof set !== 'string' || !DIGEST_PATTERN.test(set)) return null;
  if (nonce !== undefined && !isNonce(nonce)) return null;
  if (
    vin !== undefined &&
    (typeof vin !== 'string' || !VIN_PATTERN.test(vin) || nonce === undefined || partition === null)
  )
    return null;
  return {
    v,
    environment,
    partition,
    revision,
    issuedAt,
    set,
    ...(nonce !== undefined && { nonce }),
    ...(vin !== undefined && { vin }),
  };
}

function isPartition(value: unknown): value is string | null {
  return value === null || (typeof value === 'string' && value !== '' && value.length <= MAX_PARTITION_LENGTH);
}
