/**
 * Compiles a stored rule to a function that decides quickly. Conditions count as unreadable wherever writing them would
 * be refused: skipping an unknown part could make the rule reach vehicles that were never meant.
 */
import type { JsonObject, JsonValue, RuleDefinition, RuleType } from '../../model.ts';
import type { Matcher } from './condition-fields.ts';
import { compileAudience, isEmptyObject, parseAudience, splitAudience } from './audience.ts';
import { parseKillSwitch } from './kill-switch.ts';
import { compilePercentageRollout, parsePercentageRollout } from './percentage-rollout.ts';
import { compileUserAttribute, parseUserAttribute } from './user-attribute.ts';
import { compileVehicleTarget, parseVehicleTarget } from './vehicle-target.ts';
import { compileWhitelist, parseWhitelist } from './vehicle-whitelist.ts';
import { whitelistDigest } from './whitelist-digest.ts';

/** The matcher of a kill switch that is not pulled. A pulled one settles the flag before any rule is matched. */
const never: Matcher = () => false;

function compileOwn(type: RuleType, conditions: unknown, digestOf: (vin: string) => string, flagKey: string): Matcher {
  switch (type) {
    case 'kill_switch':
      parseKillSwitch(conditions, 'conditions');
      return never;
    case 'vehicle_whitelist':
      return compileWhitelist(parseWhitelist(conditions, 'conditions'), digestOf);
    case 'vehicle_target':
      return compileVehicleTarget(parseVehicleTarget(conditions, 'conditions'));
    case 'user_attribute':
      return compileUserAttribute(parseUserAttribute(conditions, 'conditions'));
    case 'percentage_rollout':
      return compilePercentageRollout(parsePercentageRollout(conditions, 'conditions'), flagKey);
  }
}

/** Compiles the conditions of a rule's type together with its audience, where it has one. Both must match. */
function compileConditions(
  type: RuleType,
  conditions: JsonValue | undefined,
  ruleId: string,
  flagKey: string,
): Matcher {
  const digestOf = (vin: string) => whitelistDigest(ruleId, vin);
  const { audience, own } = splitAudience(conditions);
  if (audience === undefined || type === 'kill_switch') return compileOwn(type, conditions, digestOf, flagKey);
  const belongs = compileAudience(parseAudience(audience, 'conditions.audience'), digestOf);
  if (type === 'vehicle_target' && isEmptyObject(own)) return belongs;
  const matches = compileOwn(type, own, digestOf, flagKey);
  return (context, nonce) => belongs(context, nonce) && matches(context, nonce);
}

/**
 * Compiles a rule's conditions to a matcher. Never throws.
 *
 * @param rule a rule whose conditions may be any JSON; its id salts the digests of a whitelist
 * @param flagKey the salt of a percentage rollout that names none
 * @returns null for a rule whose conditions cannot be read, which never matches
 */
export function compileRule(rule: JsonObject & Pick<RuleDefinition, 'id' | 'type'>, flagKey: string): Matcher | null {
  try {
    return compileConditions(rule.type, rule['conditions'], rule.id, flagKey);
  } catch {
    // No fault of one rule may take a vehicle's other rules and flags with it.
    return null;
  }
}
