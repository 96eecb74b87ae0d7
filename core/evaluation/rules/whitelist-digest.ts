/**
 * "Vehicles never receive other vehicles' VINs: in the signed definition a whitelist is a list of salted digests
 * (first 8 bytes of SHA-256 of `<rule id>:<vin>`, base64url)." (design.md)
 */
import { createHash } from 'node:crypto';
import { isJsonObject } from '../../json/json-value.ts';
import type { JsonObject, JsonValue, RuleDefinition } from '../../model.ts';
import { splitAudience } from './audience.ts';
import { parseWhitelist } from './vehicle-whitelist.ts';

const DIGEST_BYTES = 8;

/** Gives the digest of `vin` in the signed form of the rule `ruleId`: 11 characters, base64url without padding. */
export function whitelistDigest(ruleId: string, vin: string): string {
  return createHash('sha256').update(`${ruleId}:${vin}`).digest().subarray(0, DIGEST_BYTES).toString('base64url');
}

/** Gives a list of VINs as digests. A list that cannot be read becomes an empty one. */
function signedList(list: JsonValue, ruleId: string): { digests: string[] } {
  let whitelist;
  try {
    whitelist = parseWhitelist(list, '');
  } catch {
    return { digests: [] };
  }
  const digests =
    whitelist.form === 'digests'
      ? [...whitelist.digests]
      : Array.from(whitelist.vins, (vin) => whitelistDigest(ruleId, vin));
  return { digests: digests.sort() };
}

/** Gives a rule's audience as vehicles get it. One that is no object becomes an empty list of vehicles. */
function signedAudience(audience: JsonValue, ruleId: string): JsonObject {
  if (!isJsonObject(audience)) return { digests: [] };
  const { vins, ...others } = audience;
  return vins === undefined ? others : { ...others, ...signedList({ vins }, ruleId) };
}

/**
 * Gives a rule's conditions as vehicles get them. The VINs of a whitelist and of an audience become digests, in an
 * order that says nothing about the order of the VINs. A list that cannot be read becomes an empty one: neither matches
 * any vehicle, and no VIN leaves the server. All other conditions stay as they are.
 */
export function signedConditions(rule: Pick<RuleDefinition, 'id' | 'type' | 'conditions'>): JsonValue {
  const { audience, own } = splitAudience(rule.conditions);
  const signed = rule.type === 'vehicle_whitelist' ? signedList(own, rule.id) : rule.conditions;
  if (audience === undefined || !isJsonObject(signed)) return signed;
  return { ...signed, audience: signedAudience(audience, rule.id) };
}
