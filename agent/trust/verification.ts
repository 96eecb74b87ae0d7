/**
 * Verifies signed data. It must be signed under a pinned key, for this purpose, this environment and this flag.
 */
import { compactVerify, decodeProtectedHeader } from 'jose';
import { isObject, isOneOf, membersOf, type Members } from '../../core/json/json-value.ts';
import type { Environment } from '../../core/model.ts';
import type { Scope } from '../../core/partitions/partition.ts';
import {
  DEFINITION_JWS_TYPE,
  DEFINITION_VERSIONS,
  STATEMENT_JWS_TYPE,
  type SignedPayload,
  type StatementPayload,
} from '../../core/wire/vehicle/definition.ts';
import { PROOF_JWS_TYPE, jwsDigest, readProof } from '../../core/wire/vehicle/proof.ts';
import type { VerifiedDefinition, VerifiedProof } from '../state.ts';
import type { SignedFlag } from '../link/operations.ts';
import type { PinnedKeys } from './pinned-keys.ts';
import { Refusal } from './refusals.ts';
import { readSignedDefinition } from './servable.ts';

/** A verified change of a flag at `revision`. */
export interface VerifiedFlag {
  readonly key: string;
  readonly revision: number;
  /** The signed definition; null where the flag has left the environment, or one of its partitions. */
  readonly signed: VerifiedDefinition | null;
  /** The partition that the flag has left; null where it has left all, and where it has left none. */
  readonly left: string | null;
}

/** A JSON object that should be a T, before its members are checked. */
type Unread<T> = { readonly [Member in T extends unknown ? keyof T : never]?: unknown };

/**
 * Verifies a signed flag against its envelope. A definition that this version cannot serve is accepted, too. Rejects
 * with a Refusal.
 */
export async function verifyFlag(
  envelope: SignedFlag,
  environment: Environment,
  keys: PinnedKeys,
): Promise<VerifiedFlag> {
  const { key, revision, jws } = envelope;
  const subject = `flag ${JSON.stringify(key)}`;
  const payload: Unread<SignedPayload> = await verifyJws(jws, DEFINITION_JWS_TYPE, keys, subject);
  if (typeof payload.removed !== 'boolean') throw new Refusal('malformed', subject);
  if (payload.environment !== environment) throw new Refusal('wrong-environment', subject);
  if (payload.key !== key || payload.revision !== revision || payload.removed !== envelope.removed)
    throw new Refusal('wrong-flag', subject);
  if (payload.removed) {
    const { partition = null } = payload;
    if (partition !== null && typeof partition !== 'string') throw new Refusal('malformed', subject);
    return { key, revision, signed: null, left: partition };
  }
  const scope = readScope(membersOf(payload.flag).scope);
  if (scope === undefined) throw new Refusal('malformed', subject);
  const isKnown = isOneOf(DEFINITION_VERSIONS, payload.v);
  const version = isKnown ? null : `its format version ${String(payload.v)} is unknown`;
  const read = readSignedDefinition(payload.flag, key, environment, version);
  return { key, revision, signed: { revision, jws, digest: jwsDigest(jws), ...read, scope }, left: null };
}

/** Reads the scope of a definition; undefined where it has not the form of one. */
function readScope(scope: unknown): Scope | undefined {
  if (scope === undefined || scope === null) return null;
  return isTextList(scope) ? scope : undefined;
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}

/**
 * Verifies a proof's signature, form and environment, but neither its age nor whether its partition is this vehicle's
 * (binding.ts). Rejects with a Refusal.
 */
export async function verifyProof(jws: string, environment: Environment, keys: PinnedKeys): Promise<VerifiedProof> {
  const proof = readProof(await verifyJws(jws, PROOF_JWS_TYPE, keys, 'proof'));
  if (proof === null) throw new Refusal('malformed', 'proof');
  if (proof.environment !== environment) throw new Refusal('wrong-environment', 'proof');
  const { revision, issuedAt, set, partition, nonce = null, vin = null } = proof;
  return { jws, revision, issuedAt, set, nonce, partition, vin };
}

/** Verifies a statement that an older agent has stored. It has an age but no set. Rejects with a Refusal. */
export async function verifyStatement(jws: string, environment: Environment, keys: PinnedKeys): Promise<VerifiedProof> {
  const payload: Unread<StatementPayload> = await verifyJws(jws, STATEMENT_JWS_TYPE, keys, 'statement');
  const { v, revision, issuedAt } = payload;
  if (
    v !== 1 ||
    typeof revision !== 'number' ||
    !Number.isSafeInteger(revision) ||
    typeof issuedAt !== 'number' ||
    !Number.isFinite(issuedAt)
  ) {
    throw new Refusal('malformed', 'statement');
  }
  if (payload.environment !== environment) throw new Refusal('wrong-environment', 'statement');
  return { jws, revision, issuedAt: Math.floor(issuedAt), set: null, nonce: null, partition: null, vin: null };
}

/** Gives the id of the key under which a verified JWS is signed. */
export function keyIdOf(jws: string): string | undefined {
  return decodeProtectedHeader(jws).kid;
}

/**
 * Verifies a compact JWS of the given `typ` under a pinned key, and resolves to its payload. Rejects with a Refusal.
 */
export async function verifyJws(jws: string, type: string, keys: PinnedKeys, subject: string): Promise<Members> {
  let header;
  try {
    header = decodeProtectedHeader(jws);
  } catch (cause) {
    throw new Refusal('malformed', subject, { cause });
  }
  const key = keys.find(header.kid);
  if (key === undefined) throw new Refusal('unknown-key', subject);
  let payload: Uint8Array;
  try {
    ({ payload } = await compactVerify(jws, key, { algorithms: ['EdDSA'] }));
  } catch (cause) {
    throw new Refusal('signature', subject, { cause });
  }
  if (header.typ !== type) throw new Refusal('wrong-type', subject);
  try {
    const json: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
    if (isObject(json)) return json;
    throw new Error('not an object');
  } catch (cause) {
    throw new Refusal('malformed', subject, { cause });
  }
}
