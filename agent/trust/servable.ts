/**
 * Decides which signed definitions this version of the agent can serve. A newer control plane may sign definitions that
 * it cannot read, and a definition may have a value outside its own contract. The flag then keeps its former
 * definition, except that every definition can disable or kill it.
 */
import { isKnownActivation, isKnownKillActivation } from '../../core/activation/activation.ts';
import { contractFault } from '../../core/evaluation/values/contract-fault.ts';
import { compileFlag } from '../../core/evaluation/evaluate.ts';
import { isKilled } from '../../core/evaluation/rules/kill-switch.ts';
import { isObject, isOneOf, membersOf, type Members } from '../../core/json/json-value.ts';
import { flagInForm } from '../../core/wire/vehicle/definition.ts';
import { FLAG_TYPES, type Environment, type FlagDefinition } from '../../core/model.ts';
import { fitsFlagType } from '../../core/evaluation/values/flag-value.ts';
import type { FormerDefinition, ServedDefinition, VerifiedDefinition } from '../state.ts';

/**
 * Reads the definition that was signed for `key`. Never throws.
 *
 * @param form the flag as it was signed; any JSON
 * @param version says why the form is unknown; null where it is known
 */
export function readSignedDefinition(
  form: unknown,
  key: string,
  environment: Environment,
  version: string | null,
): Pick<VerifiedDefinition, 'definition' | 'fault' | 'outsideContract' | 'settled'> {
  const members: Members = flagInForm(form);
  const settled = isSettled(membersOf(form));
  const fault = version ?? formFault(members, key, environment);
  if (fault !== null) return { definition: null, fault, outsideContract: false, settled };
  // oxlint-disable-next-line typescript/consistent-type-assertions -- formFault has read what evaluation needs; whatever else a newer server adds is let through
  const definition = members as Members & FlagDefinition;
  const contract = contractFault(definition);
  if (contract === null)
    return { definition, fault: settled ? null : contentFault(definition), outsideContract: false, settled };
  if (contract.kind === 'schema') {
    const unread = `this version of the agent does not understand its ${contract.path}: ${contract.message}`;
    return { definition: null, fault: unread, outsideContract: false, settled };
  }
  // A default value within the contract is the safe state. One outside of it must never be served.
  const isSafe = contract.kind !== 'default';
  const place =
    contract.kind === 'rule'
      ? `${contract.path} of rule ${String(definition.rules[contract.ruleIndex]?.id)}`
      : contract.path;
  const outside = `its ${place} is outside its value contract: ${contract.message}`;
  return { definition: isSafe ? definition : null, fault: outside, outsideContract: true, settled };
}

/**
 * Says whether a flag is killed or disabled. One with dependencies says so in its content, because its usual place is
 * always disabled (`signedForm`); where there is no content to read, the usual place counts.
 */
function isSettled({ content, ...flag }: Members): boolean {
  const { enabled, rules } = isObject(content) ? content : flag;
  return enabled === false || isKilled(rules) || isKilled(flag.rules);
}

/** Says what of a flag this version does not understand; null for nothing. */
function contentFault(definition: FlagDefinition): string | null {
  const { unreadableRules, hasUnreadablePrerequisite, hasUnreadableRelease } = compileFlag(definition);
  if (unreadableRules.length > 0)
    return `this version of the agent does not understand its rules ${unreadableRules.join(', ')}`;
  if (!isKnownActivation(definition.activation) || !isKnownKillActivation(definition.killActivation))
    return 'this version of the agent does not understand its activation';
  if (hasUnreadableRelease) return 'this version of the agent does not understand its release';
  return hasUnreadablePrerequisite ? 'this version of the agent does not understand its dependencies' : null;
}

/** Says which member that evaluation needs is missing or wrong; null for none. Unknown members are accepted. */
function formFault(flag: Members, key: string, environment: Environment): string | null {
  if (flag.key !== key || flag.environment !== environment) return 'it names another flag';
  if (typeof flag.enabled !== 'boolean' || !Array.isArray(flag.rules))
    return 'it does not have the form of a flag definition';
  if (!isOneOf(FLAG_TYPES, flag.type)) return `its type ${JSON.stringify(flag.type)} is unknown`;
  const fits = flag.defaultValue !== undefined && fitsFlagType(flag.type, flag.defaultValue);
  return fits ? null : 'its default value does not fit its type';
}

/**
 * Gives the definition that a flag serves; null where none can be served.
 *
 * @param signed the definition that the flag has now
 * @param former the definition that the flag served before one that cannot be served; null for none
 */
export function serve(signed: VerifiedDefinition, former: FormerDefinition | null): ServedDefinition | null {
  const { revision, jws, definition, fault, settled } = signed;
  if (definition !== null && fault === null) return { definition, revision, id: jws };
  const before = former === null ? null : serveFormer(former);
  // Without a former definition, the default is the safe state. The readable rules alone could give wrong values.
  if (before === null) return definition === null ? null : { definition: safe(definition, settled), revision, id: jws };
  return settled ? { definition: disabled(before.definition, revision), revision, id: jws } : before;
}

/** Gives the definition that stays in effect where the next one cannot be served. */
export function formerOf(signed: VerifiedDefinition, former: FormerDefinition | null): FormerDefinition | null {
  if (signed.fault === null && signed.definition !== null) return { signed, disabled: false };
  return former !== null && signed.settled ? { ...former, disabled: true } : former;
}

function serveFormer({
  signed: { definition, revision, jws },
  disabled: isDisabled,
}: FormerDefinition): ServedDefinition | null {
  if (definition === null) return null;
  return isDisabled
    ? { definition: disabled(definition, revision), revision, id: `disabled ${jws}` }
    : { definition, revision, id: jws };
}

/** Gives a definition without its rules and its release; where it is killed or disabled, a disabled one. */
const safe = (definition: FlagDefinition, settled: boolean): FlagDefinition =>
  settled ? disabled(definition, definition.revision) : { ...definition, rules: [], release: null };

function disabled(definition: FlagDefinition, revision: number): FlagDefinition {
  return { ...definition, enabled: false, rules: [], release: null, revision };
}
