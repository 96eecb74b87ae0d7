/**
 * "Vehicles never receive other vehicles' VINs: in the signed definition a whitelist is a list of salted digests
 * (first 8 bytes of SHA-256 of `<rule id>:<vin>`, base64url)." (design.md)
 */
import { createHash } from 'node:crypto';
import type { JsonValue, RuleDefinition } from '../../model.ts';
import { parseWhitelist } from './vehicle-whitelist.ts';

const DIGEST_BYTES = 8;

/** Gives the digest of `vin` in the signed form of the rule `ruleId`: 11 characters, base64url without padding. */
export function whitelistDigest(ruleId: string, vin: string): string {
  return createHash('sha256').update(`${ruleId}:${vin}`).digest().subarray(0, DIGEST_BYTES).toString('base64url');
}

/**
 * Gives a rule's conditions as vehicles get them. The VINs of a whitelist become digests, in an order that says nothing
 * about the order of the VINs. A whitelist that cannot be read becomes an empty one: neither matches any vehicle, and
 * no VIN leaves the server. All other conditions stay as they are.
 */
export function signedConditions(rule: Pick<RuleDefinition, 'id' | 'type' | 'conditions'>): JsonValue {
  if (rule.type !== 'vehicle_whitelist') return rule.conditions;
  let whitelist;
  try {
    whitelist = parseWhitelist(rule.conditions, '');
  } catch {
    return { digests: [] };
  }
  const digests =
    whitelist.form === 'digests'
      ? [...whitelist.digests]
      : Array.from(whitelist.vins, (vin) => whitelistDigest(rule.id, vin));
  return { digests: digests.sort() };
}
