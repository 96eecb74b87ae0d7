/**
 * Signs what vehicles are to trust: compact JWS with EdDSA over Ed25519 (RFC 7515, RFC 8037).
 */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { CompactSign, exportPKCS8, generateKeyPair, type JWK } from 'jose';
import type { Environment, FlagDefinition } from '../../../core/model.ts';
import {
  DEFINITION_JWS_TYPE,
  STATEMENT_JWS_TYPE,
  type SignedPayload,
  type StatementPayload,
} from '../../../core/wire/definition.ts';
import { PROOF_JWS_TYPE, type ProofPayload } from '../../../core/wire/proof.ts';
import {
  VEHICLE_FACTS_JWS_TYPE,
  type RegisteredFacts,
  type VehicleFactsPayload,
} from '../../../core/wire/vehicle-facts.ts';
import { signedConditions } from '../../../core/evaluation/rules/whitelist-digest.ts';
import { publicKeyOf, type PublicKey } from './public-keys.ts';

export interface Signer {
  /** The definition of a flag that lives in its environment. */
  definition(flag: FlagDefinition): Promise<string>;
  /** The tombstone of a flag that has left `environment`. */
  tombstone(environment: Environment, key: string, revision: number): Promise<string>;
  /** @param issuedAt Unix seconds */
  statement(environment: Environment, revision: number, issuedAt: number): Promise<string>;
  /** What an environment consists of. */
  proof(proof: Omit<ProofPayload, 'v' | 'partition'>): Promise<string>;
  /** The registered facts of one vehicle, as an answer to the question that had `nonce`. */
  vehicleFacts(vin: string, facts: RegisteredFacts, nonce: string): Promise<string>;
  /** The id of the key that signs. */
  readonly kid: string;
  /** The public keys, as `/.well-known/jwks.json` serves them (RFC 7517): the one that signs first. */
  readonly publicKeys: { readonly keys: readonly JWK[] };
}

/** A new private key as PEM (PKCS #8). */
export async function generateSigningKey(): Promise<string> {
  const { privateKey } = await generateKeyPair('EdDSA', { extractable: true });
  return exportPKCS8(privateKey);
}

/** JSON.parse quotes what it could not read, and that would be a part of a private key. */
function readJwk(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('not JSON');
  }
}

function readKey(text: string): KeyObject {
  const trimmed = text.trim();
  const key = trimmed.startsWith('{')
    ? createPrivateKey({ key: readJwk(trimmed) as never, format: 'jwk' })
    : createPrivateKey(trimmed);
  if (key.asymmetricKeyType !== 'ed25519') throw new Error('not an Ed25519 key');
  return key;
}

/**
 * @param keyText an Ed25519 private key: a JWK or a PEM
 * @param others public keys that are valid beside it: former ones, and the next
 * @param source where the key stands, for the message
 * @throws Error when it is not one; the message does not repeat the key
 */
export async function createSigner(
  keyText: string,
  others: readonly PublicKey[] = [],
  source = 'FLEETFLAG_SIGNING_KEY',
): Promise<Signer> {
  let key: KeyObject;
  try {
    key = readKey(keyText);
  } catch (cause) {
    throw new Error(`${source} is not an Ed25519 private key in JWK or PEM form.`, { cause });
  }
  const own = await publicKeyOf(createPublicKey(key));
  const { kid } = own;
  const encoder = new TextEncoder();
  const sign = (typ: string, payload: SignedPayload | StatementPayload | ProofPayload | VehicleFactsPayload) =>
    new CompactSign(encoder.encode(JSON.stringify(payload))).setProtectedHeader({ alg: 'EdDSA', kid, typ }).sign(key);

  return {
    definition: (flag) =>
      sign(DEFINITION_JWS_TYPE, {
        v: 1,
        environment: flag.environment,
        key: flag.key,
        revision: flag.revision,
        removed: false,
        flag: forVehicles(flag),
      }),
    tombstone: (environment, key_, revision) =>
      sign(DEFINITION_JWS_TYPE, { v: 1, environment, key: key_, revision, removed: true }),
    statement: (environment, revision, issuedAt) => sign(STATEMENT_JWS_TYPE, { v: 1, environment, revision, issuedAt }),
    proof: (proof) => sign(PROOF_JWS_TYPE, { v: 2, partition: null, ...proof }),
    vehicleFacts: (vin, { model, swVersion, region }, nonce) =>
      sign(VEHICLE_FACTS_JWS_TYPE, { v: 1, vin, model, swVersion, region, nonce }),
    kid,
    publicKeys: { keys: [own, ...others.filter((other) => other.kid !== kid)] },
  };
}

/** The signature of a compact JWS: with Ed25519 it is always the same for the same content and key, and no other's. */
export function signatureOf(jws: string): string {
  return jws.slice(jws.lastIndexOf('.') + 1);
}

/** The definition that a signed one holds, unverified: for what this subgraph has signed itself. */
export function definitionIn(jws: string): FlagDefinition {
  return (JSON.parse(Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString()) as { flag: FlagDefinition }).flag;
}

/**
 * Exactly the fields of a definition, with digests for VINs: nothing of what people keep beside it goes to vehicles.
 */
function forVehicles(flag: FlagDefinition): FlagDefinition {
  const { key, environment, type, safetyLevel, enabled, defaultValue, revision } = flag;
  const rules = flag.rules.map((rule) => ({
    id: rule.id,
    type: rule.type,
    priority: rule.priority,
    enabled: rule.enabled,
    conditions: signedConditions(rule),
    value: rule.value ?? null,
    variant: rule.variant ?? null,
  }));
  return { key, environment, type, safetyLevel, enabled, defaultValue, revision, rules };
}
