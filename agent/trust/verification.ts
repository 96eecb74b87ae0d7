/**
 * Decides what is believed: a signature under a pinned key, made for this purpose, this environment and this flag.
 */
import { compactVerify, decodeProtectedHeader } from 'jose';
import { FLAG_TYPES, type Environment, type FlagDefinition, type FlagType } from '../../core/model.ts';
import { DEFINITION_JWS_TYPE, STATEMENT_JWS_TYPE, type SignedPayload, type StatementPayload } from '../../core/protocol/definition.ts';
import type { VerifiedStatement } from '../state.ts';
import type { SignedFlag } from '../sync/operations.ts';
import type { PinnedKeys } from './pinned-keys.ts';
import { Refusal } from './refusals.ts';

/** A flag that may be applied; `definition` is null where it has left the environment. */
export interface VerifiedFlag {
  readonly key: string;
  readonly revision: number;
  readonly jws: string;
  readonly definition: FlagDefinition | null;
}

/** A JSON object that should become a T, none of whose members has been checked. */
type Unread<T> = { readonly [Member in T extends unknown ? keyof T : never]?: unknown };

/** Checks a signed flag against its envelope. Rejects with a Refusal. */
export async function verifyFlag(signed: SignedFlag, environment: Environment, keys: PinnedKeys): Promise<VerifiedFlag> {
  const subject = `flag ${JSON.stringify(signed.key)}`;
  const payload = (await verifyJws(signed.jws, DEFINITION_JWS_TYPE, keys, subject)) as Unread<SignedPayload>;
  if (payload.v !== 1 || typeof payload.removed !== 'boolean') throw new Refusal('malformed', subject);
  if (payload.environment !== environment) throw new Refusal('wrong-environment', subject);
  if (payload.key !== signed.key || payload.revision !== signed.revision || payload.removed !== signed.removed) {
    throw new Refusal('wrong-flag', subject);
  }
  const verified = { key: signed.key, revision: signed.revision, jws: signed.jws };
  if (payload.removed) return { ...verified, definition: null };
  if (!isDefinition(payload.flag)) throw new Refusal('malformed', subject);
  if (payload.flag.key !== signed.key) throw new Refusal('wrong-flag', subject);
  if (payload.flag.environment !== environment) throw new Refusal('wrong-environment', subject);
  return { ...verified, definition: payload.flag };
}

/** Checks a statement's signature and environment, not its age. Rejects with a Refusal. */
export async function verifyStatement(jws: string, environment: Environment, keys: PinnedKeys): Promise<VerifiedStatement> {
  const payload = (await verifyJws(jws, STATEMENT_JWS_TYPE, keys, 'statement')) as Unread<StatementPayload>;
  const { v, revision, issuedAt } = payload;
  if (v !== 1 || !Number.isSafeInteger(revision) || typeof issuedAt !== 'number' || !Number.isFinite(issuedAt)) {
    throw new Refusal('malformed', 'statement');
  }
  if (payload.environment !== environment) throw new Refusal('wrong-environment', 'statement');
  return { jws, revision: revision as number, issuedAt: Math.floor(issuedAt) };
}

async function verifyJws(jws: string, type: string, keys: PinnedKeys, subject: string): Promise<object> {
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
    if (typeof json === 'object' && json !== null) return json;
    throw new Error('not an object');
  } catch (cause) {
    throw new Refusal('malformed', subject, { cause });
  }
}

/** What evaluation needs to be there; whatever else a newer server adds is let through. */
function isDefinition(value: unknown): value is FlagDefinition {
  const flag = value as Partial<FlagDefinition> | null | undefined;
  return (
    typeof flag === 'object' &&
    flag !== null &&
    typeof flag.enabled === 'boolean' &&
    Array.isArray(flag.rules) &&
    FLAG_TYPES.includes(flag.type as FlagType) &&
    fitsType(flag.defaultValue, flag.type!)
  );
}

function fitsType(value: unknown, type: FlagType): boolean {
  return type === 'json' ? value !== undefined : typeof value === type;
}
