/**
 * Decides which signed definitions this version of the agent can serve. A newer control plane may sign definitions that
 * it cannot read. The flag then keeps its former definition, except that every definition can disable or kill it.
 */
import { compileFlag, isKilled } from '../../core/evaluation/evaluate.ts';
import { isOneOf, membersOf, type Members } from '../../core/json/json-value.ts';
import { FLAG_TYPES, type Environment, type FlagDefinition } from '../../core/model.ts';
import { fitsFlagType } from '../../core/evaluation/flag-value.ts';
import type { FormerDefinition, ServedDefinition, SignedDefinition } from '../state.ts';

/** Reads the definition that was signed for `key`. `version` says why its form is unknown, or is null. Never throws. */
export function readDefinition(
  flag: unknown,
  key: string,
  environment: Environment,
  version: string | null,
): Pick<SignedDefinition, 'definition' | 'fault' | 'settled'> {
  const members = membersOf(flag);
  const settled = members.enabled === false || isKilled(members.rules);
  const fault = version ?? formFault(members, key, environment);
  if (fault !== null) return { definition: null, fault, settled };
  // eslint-disable-next-line @typescript-eslint/consistent-type-assertions -- formFault has read what evaluation needs; whatever else a newer server adds is let through
  const definition = flag as FlagDefinition;
  const { unreadableRules } = compileFlag(definition);
  const unread =
    settled || unreadableRules.length === 0
      ? null
      : `this version of the agent does not understand its rules ${unreadableRules.join(', ')}`;
  return { definition, fault: unread, settled };
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

/** Gives the definition that a flag serves which has `signed` now and had `former` before. */
export function serve(signed: SignedDefinition, former: FormerDefinition | null): ServedDefinition | null {
  const { revision, jws, definition, fault, settled } = signed;
  if (definition !== null && fault === null) return { definition, revision, id: jws };
  const before = former === null ? null : serveFormer(former);
  // Without a former definition, the default is the safe state. The readable rules alone could give wrong values.
  if (before === null)
    return definition === null ? null : { definition: { ...definition, rules: [] }, revision, id: jws };
  return settled ? { definition: disabled(before.definition, revision), revision, id: jws } : before;
}

/** Gives the definition that stays in effect where the next one cannot be served. */
export function formerOf(signed: SignedDefinition, former: FormerDefinition | null): FormerDefinition | null {
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

function disabled(definition: FlagDefinition, revision: number): FlagDefinition {
  return { ...definition, enabled: false, rules: [], revision };
}
