/**
 * Verifies signed data. It must be signed under a pinned key, for this purpose, this environment and this flag.
 */
import { compactVerify, decodeProtectedHeader } from 'jose';
import { isObject, type Members } from '../../core/json/json-value.ts';
import type { Environment } from '../../core/model.ts';
import {
  DEFINITION_JWS_TYPE,
  STATEMENT_JWS_TYPE,
  type SignedPayload,
  type StatementPayload,
} from '../../core/wire/definition.ts';
import { PROOF_JWS_TYPE, jwsDigest, readProof } from '../../core/wire/proof.ts';
import type { SignedDefinition, VerifiedProof } from '../state.ts';
import type { SignedFlag } from '../link/operations.ts';
import type { PinnedKeys } from './pinned-keys.ts';
import { Refusal } from './refusals.ts';
import { readDefinition } from './servable.ts';

/** A verified change of a flag at `revision`. `signed` is null where the flag has left the environment. */
export interface VerifiedFlag {
  readonly key: string;
  readonly revision: number;
  readonly signed: SignedDefinition | null;
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
  if (payload.removed) return { key, revision, signed: null };
  const version = payload.v === 1 ? null : `its format version ${String(payload.v)} is unknown`;
  return {
    key,
    revision,
    signed: { revision, jws, digest: jwsDigest(jws), ...readDefinition(payload.flag, key, environment, version) },
  };
}

/** Verifies a proof's signature, form and environment, but not its age. Rejects with a Refusal. */
export async function verifyProof(jws: string, environment: Environment, keys: PinnedKeys): Promise<VerifiedProof> {
  const proof = readProof(await verifyJws(jws, PROOF_JWS_TYPE, keys, 'proof'));
  if (proof === null) throw new Refusal('malformed', 'proof');
  if (proof.environment !== environment) throw new Refusal('wrong-environment', 'proof');
  const { revision, issuedAt, set, nonce = null } = proof;
  return { jws, revision, issuedAt, set, nonce };
}

/** Verifies a statement that an older agent has stored. It tells an age but no set. Rejects with a Refusal. */
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
  return { jws, revision, issuedAt: Math.floor(issuedAt), set: null, nonce: null };
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
