/** A flag as it is typed into its form, and what a change of the form sends. */
import type { FieldFaults } from '../../api/fault-fields.ts';
import type { Flag } from '../../changes/flag-content.ts';
import type { Activation, CreateFlagInput, Environment, FlagType, SafetyLevel } from '../../generated/operations.ts';
import { isSameJson } from '../../json.ts';
import { readValue, typedText } from '../rules/value-draft.ts';
import { SAFETY_LEVELS } from '../flag-filter.ts';
import { readRequirement, requirementText } from '../requirement-text.ts';

/** A flag as it stands in its form: texts as they are typed. */
export interface FlagDraft {
  readonly name: string;
  readonly description: string;
  readonly value: string;
  /** The value contract as JSON; blank for none. */
  readonly contract: string;
  readonly activation: Activation;
  readonly killActivation: Activation;
  readonly safetyLevel: SafetyLevel;
  readonly environment: Environment;
  readonly scope: readonly string[];
  /** One in each, such as `lane_keep: on, eco`. */
  readonly requires: readonly string[];
  readonly excludes: readonly string[];
}

/** Gives a flag as it stands in its form. */
export const flagDraftOf = ({
  name,
  description,
  defaultValue,
  type,
  safetyLevel,
  environment,
  ...flag
}: Flag): FlagDraft => ({
  scope: flag.scope ?? [],
  requires: flag.requires.map(({ flag: { key }, variants }) => requirementText(key, variants)),
  excludes: flag.excludes.map(({ key }) => key),
  name,
  description: description ?? '',
  value: typedText(defaultValue, type),
  contract: flag.valueSchema == null ? '' : JSON.stringify(flag.valueSchema, null, 2),
  activation: flag.activation,
  killActivation: flag.killActivation,
  safetyLevel,
  environment,
});

/** Gives what a form knows to be wrong by itself, because it cannot even be sent. */
export function flagFaultsOf({ name, value, contract }: FlagDraft, type: FlagType): FieldFaults {
  const read = readValue(value, type);
  return {
    ...(name.trim() === '' && { name: 'name' as const }),
    ...('wrong' in read && { defaultValue: read.wrong }),
    ...(draftedContract(contract) === undefined && { valueSchema: 'json' as const }),
  };
}

/** Gives the value of a text that `flagFaultsOf` finds nothing wrong with. */
export const draftedValue = (text: string, type: FlagType): unknown => {
  const read = readValue(text, type);
  return 'value' in read ? read.value : null;
};

/** Gives the contract of a text: null where it is blank, undefined where it is no JSON. */
export function draftedContract(text: string): unknown {
  if (text.trim() === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Gives the members that differ from what the form began with. */
export function changedFlagMembers(was: FlagDraft, is: FlagDraft, type: FlagType) {
  const [before, after] = [draftedValue(was.value, type), draftedValue(is.value, type)];
  const [contractBefore, contractAfter] = [draftedContract(was.contract), draftedContract(is.contract)];
  return {
    ...(is.name.trim() !== was.name && { name: is.name.trim() }),
    ...(is.description.trim() !== was.description && { description: is.description.trim() || null }),
    ...(!isSameJson(before, after) && { defaultValue: after }),
    ...(!isSameJson(contractBefore, contractAfter) && { valueSchema: contractAfter }),
    ...(is.activation !== was.activation && { activation: is.activation }),
    ...(is.killActivation !== was.killActivation && { killActivation: is.killActivation }),
    ...(is.safetyLevel !== was.safetyLevel && { safetyLevel: is.safetyLevel }),
    ...(is.environment !== was.environment && { environment: is.environment }),
    ...(!isSameJson(is.scope, was.scope) && { scope: is.scope.length === 0 ? null : is.scope }),
    ...(!isSameJson(is.requires, was.requires) && { requires: is.requires.map(readRequirement) }),
    ...(!isSameJson(is.excludes, was.excludes) && { excludes: is.excludes }),
  };
}

const VALUE_MEMBERS = ['defaultValue', 'environment', 'scope', 'requires', 'excludes'];

/** Whether vehicles may get other values by a change of these members, or lose the flag. */
export const concernsValues = (changed: ReturnType<typeof changedFlagMembers>): boolean =>
  VALUE_MEMBERS.some((name) => name in changed);

/** Gives what the form of a new flag sends. Members that are empty have the control plane's defaults. */
export const newFlagInput = (key: string, type: FlagType, draft: FlagDraft): CreateFlagInput => ({
  key: key.trim(),
  name: draft.name.trim(),
  ...(draft.description.trim() !== '' && { description: draft.description.trim() }),
  type,
  defaultValue: draftedValue(draft.value, type),
  ...(draft.contract.trim() !== '' && { valueSchema: draftedContract(draft.contract) }),
  activation: draft.activation,
  killActivation: draft.killActivation,
  safetyLevel: draft.safetyLevel,
  environment: draft.environment,
  ...(draft.scope.length > 0 && { scope: draft.scope }),
  ...(draft.requires.length > 0 && { requires: draft.requires.map(readRequirement) }),
  ...(draft.excludes.length > 0 && { excludes: draft.excludes }),
});

/** The moments at which vehicles may change over, the least strict first; and those of a kill switch. */
export const ACTIVATIONS: readonly Activation[] = ['IMMEDIATE', 'PARKED', 'NEXT_DRIVE'];
export const KILL_ACTIVATIONS: readonly Activation[] = ['IMMEDIATE', 'PARKED'];

/** Says whether a level is lower than another, which a second person has to agree to. */
export const isLower = (one: SafetyLevel, than: SafetyLevel) =>
  SAFETY_LEVELS.indexOf(one) > SAFETY_LEVELS.indexOf(than);

/** The form of a flag that is not there yet. */
export const NEW_FLAG: FlagDraft = {
  name: '',
  description: '',
  value: 'false',
  contract: '',
  activation: 'IMMEDIATE',
  killActivation: 'IMMEDIATE',
  safetyLevel: 'NON_CRITICAL',
  environment: 'DEVELOPMENT',
  scope: [],
  requires: [],
  excludes: [],
};
