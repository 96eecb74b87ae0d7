/** Signatures that vehicles verify: compact JWS with EdDSA over Ed25519 (RFC 7515, RFC 8037). */
import { createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { CompactSign, exportPKCS8, generateKeyPair, type JWK } from 'jose';
import type { Environment, FlagContent, FlagDefinition } from '../../../core/model.ts';
import {
  DEFINITION_JWS_TYPE,
  STATEMENT_JWS_TYPE,
  definitionVersion,
  flagInForm,
  signedForm,
  type SignedPayload,
  type StatementPayload,
} from '../../../core/wire/vehicle/definition.ts';
import { PROOF_JWS_TYPE, type ProofPayload } from '../../../core/wire/vehicle/proof.ts';
import {
  VEHICLE_FACTS_JWS_TYPE,
  type RegisteredFacts,
  type VehicleFactsPayload,
} from '../../../core/wire/vehicle/vehicle-facts.ts';
import { signedRelease } from '../../../core/evaluation/release.ts';
import { signedConditions } from '../../../core/evaluation/rules/whitelist-digest.ts';
import { publicKeyOf, textIn, type PublicKey } from './public-keys.ts';
import { isObject, membersOf, parseJson } from '../../../core/json/json-value.ts';

/** Signs with one Ed25519 key. Every method gives a compact JWS. */
export interface Signer {
  /** Signs the definition of a flag that lives in its environment. */
  definition(flag: FlagDefinition): Promise<string>;
  /**
   * Signs the tombstone of a flag that has left `environment`.
   *
   * @param partition the one partition that it has left; null (default): all of them
   */
  tombstone(environment: Environment, key: string, revision: number, partition?: string | null): Promise<string>;
  /**
   * Signs the statement that `environment` had `revision` at a time.
   *
   * @param issuedAt Unix seconds
   */
  statement(environment: Environment, revision: number, issuedAt: number): Promise<string>;
  /** Signs the proof of what receivers get of an environment, with `partition: null` by default. */
  proof(proof: Omit<ProofPayload, 'v' | 'partition'> & Partial<Pick<ProofPayload, 'partition'>>): Promise<string>;
  /** Signs the registered facts of one vehicle, as the answer to its request with `nonce`. */
  vehicleFacts(vin: string, facts: RegisteredFacts, nonce: string): Promise<string>;
  /** The id of the signing key. */
  readonly kid: string;
  /** The public keys as `/.well-known/jwks.json` serves them (RFC 7517); the signing key comes first. */
  readonly publicKeys: { readonly keys: readonly JWK[] };
}

/** Creates a new private key as PEM (PKCS #8). */
export async function generateSigningKey(): Promise<string> {
  const { privateKey } = await generateKeyPair('EdDSA', { extractable: true });
  return exportPKCS8(privateKey);
}

/** Parses a JWK. JSON.parse's message would quote the text, and so a part of a private key. */
function readJwk(text: string): JsonWebKey {
  try {
    const { kty, crv, x, d } = membersOf(parseJson(text));
    return { kty: textIn(kty), crv: textIn(crv), x: textIn(x), d: textIn(d) };
  } catch {
    throw new Error('not JSON');
  }
}

function readKey(text: string): KeyObject {
  const trimmed = text.trim();
  const key = trimmed.startsWith('{')
    ? createPrivateKey({ key: readJwk(trimmed), format: 'jwk' })
    : createPrivateKey(trimmed);
  if (key.asymmetricKeyType !== 'ed25519') throw new Error('not an Ed25519 key');
  return key;
}

/**
 * Creates the signer of a private key.
 *
 * @param keyText an Ed25519 private key: a JWK or a PEM
 * @param others further public keys that are valid: former ones, and the next
 * @param source where the key is stored, for the error message
 * @throws Error when it is not such a key; the message does not quote the key
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
        v: definitionVersion(flag),
        environment: flag.environment,
        key: flag.key,
        revision: flag.revision,
        removed: false,
        flag: signedForm(forVehicles(flag)),
      }),
    tombstone: (environment, key_, revision, partition = null) =>
      sign(DEFINITION_JWS_TYPE, {
        v: 1,
        environment,
        key: key_,
        revision,
        removed: true,
        // A tombstone for every partition has no such member, as older agents expect it.
        ...(partition !== null && { partition }),
      }),
    statement: (environment, revision, issuedAt) => sign(STATEMENT_JWS_TYPE, { v: 1, environment, revision, issuedAt }),
    proof: (proof) => sign(PROOF_JWS_TYPE, { v: 2, partition: null, ...proof }),
    vehicleFacts: (vin, { model, swVersion, region }, nonce) =>
      sign(VEHICLE_FACTS_JWS_TYPE, { v: 1, vin, model, swVersion, region, nonce }),
    kid,
    publicKeys: { keys: [own, ...others.filter((other) => other.kid !== kid)] },
  };
}

/**
 * Gives the signature of a compact JWS. Ed25519 is deterministic: one content and key always give the same signature,
 * and no other pair gives it.
 */
export function signatureOf(jws: string): string {
  return jws.slice(jws.lastIndexOf('.') + 1);
}

/** Checks only that a payload is a definition, because this subgraph has signed it. */
function isDefinition(value: unknown): value is FlagDefinition {
  return isObject(value) && typeof value['key'] === 'string' && Array.isArray(value['rules']);
}

/** Gives the definition in a signed one without verifying it. Only for what this subgraph has signed itself. */
export function definitionIn(jws: string): FlagDefinition {
  const { flag: form } = membersOf(parseJson(Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString()));
  const flag: unknown = flagInForm(form);
  if (!isDefinition(flag)) throw new Error('A signed definition holds no flag');
  return flag;
}

/** Gives exactly the fields of a definition, with digests in place of VINs. Vehicles receive nothing else of a flag. */
function forVehicles(flag: FlagDefinition): FlagDefinition {
  const { key, environment, type, safetyLevel, enabled, revision, scope, killActivation, release = null } = flag;
  const noReturnBelow = flag.noReturnBelow ?? 0;
  return {
    key,
    environment,
    type,
    safetyLevel,
    enabled,
    revision,
    ...contentForVehicles(flag),
    ...(scope !== undefined && { scope }),
    ...(killActivation !== undefined && { killActivation }),
    // Without a bound it is absent, so that flags that were never stopped keep their signatures.
    ...(noReturnBelow > 0 && { noReturnBelow }),
    ...(release !== null && { release: { ...signedRelease(release), next: contentForVehicles(release.next) } }),
  };
}

function contentForVehicles(content: FlagContent): FlagContent {
  const { defaultValue, rules, requires, excludes, valueSchema, activation } = content;
  return {
    defaultValue,
    rules: rules.map((rule) => ({
      id: rule.id,
      type: rule.type,
      priority: rule.priority,
      enabled: rule.enabled,
      conditions: signedConditions(rule),
      value: rule.value ?? null,
      variant: rule.variant ?? null,
    })),
    ...(requires !== undefined && { requires }),
    ...(excludes !== undefined && { excludes }),
    ...(valueSchema !== undefined && { valueSchema }),
    ...(activation !== undefined && { activation }),
  };
}
