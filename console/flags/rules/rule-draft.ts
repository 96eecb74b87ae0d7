/**
 * A rule as it stands in its form: every member as people type it, for rules of all types. It is made of a rule and
 * becomes the API's input again, and what somebody else has changed meanwhile can be taken over.
 */
import { mergedDraft, mergedList } from '../../changes/merged-draft.ts';
import type { FieldFault, FieldFaults } from '../../api/fault-fields.ts';
import type { FlagType, RuleInput, RuleType } from '../../generated/operations.ts';
import { isMembers, isSameJson, itemsOf, membersOf, stringsOf } from '../../json.ts';
import { readNumber, readValue, valueDraftOf, type ValueDraft } from './value-draft.ts';

/** The comparisons of attributes. `present` and `missing` are the API's `exists`. */
export const OPERATORS = [
  'eq',
  'ne',
  'in',
  'not_in',
  'lt',
  'lte',
  'gt',
  'gte',
  'contains',
  'starts_with',
  'ends_with',
  'semver',
  'present',
  'missing',
] as const;
export type Operator = (typeof OPERATORS)[number];

const OF_MANY: readonly Operator[] = ['in', 'not_in', 'contains', 'starts_with', 'ends_with', 'semver'];
/** The values that an operator takes. */
export const valuesTaken = (operator: Operator): 'none' | 'one' | 'many' =>
  operator === 'present' || operator === 'missing' ? 'none' : OF_MANY.includes(operator) ? 'many' : 'one';

/** 1 is not "1", so each value has a kind. */
export const SCALAR_KINDS = ['text', 'number', 'boolean'] as const;
/** One value of a comparison as it is typed, with the kind that it shall have. */
export interface ScalarDraft {
  readonly kind: (typeof SCALAR_KINDS)[number];
  readonly text: string;
}

/** One comparison of an attribute with values, as it is typed. */
export interface ComparisonDraft {
  readonly attribute: string;
  readonly operator: Operator;
  readonly values: readonly ScalarDraft[];
}

/** The conditions of all types beside each other, so that another type loses nothing that was typed. */
export interface ConditionsDraft {
  readonly percentage: string;
  readonly models: readonly string[];
  readonly version: string;
  readonly regions: readonly string[];
  readonly salt: string;
  readonly sticky: boolean;
  /** The key of the segment that narrows the rule; empty: none. */
  readonly segment: string;
  /** One on each line. */
  readonly vins: string;
  readonly comparisons: readonly ComparisonDraft[];
  readonly holds: boolean;
  readonly why: string;
}

/** A rule as it is typed. */
export interface RuleDraft {
  readonly type: RuleType;
  readonly priority: string;
  readonly enabled: boolean;
  readonly conditions: ConditionsDraft;
  readonly value: ValueDraft;
  readonly variant: string;
}

/** A rule as the API gives it. */
export interface StoredRule {
  readonly id: string;
  readonly type: RuleType;
  readonly priority: number;
  readonly enabled: boolean;
  readonly conditions: unknown;
  readonly value?: unknown;
  readonly variant: string;
}

export const NEW_COMPARISON: ComparisonDraft = {
  attribute: '',
  operator: 'eq',
  values: [{ kind: 'text', text: '' }],
};

const MEMBERS: Readonly<Record<RuleType, readonly string[]>> = {
  PERCENTAGE_ROLLOUT: ['segment', 'rollout_percentage', 'models', 'sw_version', 'regions', 'salt', 'sticky'],
  VEHICLE_TARGET: ['segment', 'models', 'sw_version', 'regions'],
  VEHICLE_WHITELIST: ['segment', 'vins'],
  USER_ATTRIBUTE: ['segment', 'attribute', 'operator', 'values', 'exists', 'all'],
  KILL_SWITCH: ['force_disabled', 'reason'],
};

/** Whether the conditions have members that the form does not show and would drop. */
export const hasUnknownMembers = ({ type, conditions }: Pick<StoredRule, 'type' | 'conditions'>): boolean =>
  !isMembers(conditions) || Object.keys(conditions).some((name) => !MEMBERS[type].includes(name));

function scalarDraft(value: unknown): ScalarDraft {
  if (typeof value === 'number') return { kind: 'number', text: String(value) };
  if (typeof value === 'boolean') return { kind: 'boolean', text: String(value) };
  return { kind: 'text', text: typeof value === 'string' ? value : '' };
}

function comparisonDraft(comparison: unknown): ComparisonDraft {
  const { attribute, operator, values, exists } = membersOf(comparison);
  const name = typeof attribute === 'string' ? attribute : '';
  const isMissing = exists === false || (operator === 'exists' && itemsOf(values)[0] === false);
  if (exists !== undefined || operator === 'exists')
    return { attribute: name, operator: isMissing ? 'missing' : 'present', values: [] };
  return {
    attribute: name,
    operator: OPERATORS.find((one) => one === operator) ?? 'eq',
    values: itemsOf(values).map(scalarDraft),
  };
}

function conditionsDraft(conditions: unknown): ConditionsDraft {
  const {
    rollout_percentage: percentage,
    models,
    sw_version: version,
    regions,
    salt,
    sticky,
    segment,
    vins,
    all,
    force_disabled: holds,
    reason,
    ...rest
  } = membersOf(conditions);
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  return {
    percentage: typeof percentage === 'number' ? String(percentage) : '',
    models: stringsOf(models),
    version: text(version),
    regions: stringsOf(regions),
    salt: text(salt),
    sticky: sticky !== false,
    segment: text(segment),
    vins: stringsOf(vins).join('\n'),
    comparisons: Array.isArray(all)
      ? itemsOf(all).map(comparisonDraft)
      : [rest['attribute'] === undefined ? NEW_COMPARISON : comparisonDraft(rest)],
    holds: holds !== false,
    why: text(reason),
  };
}

/** Gives a rule as it stands in its form. */
export function ruleDraftOf(
  { type, priority, enabled, conditions, value, variant }: StoredRule,
  flag: FlagType,
): RuleDraft {
  return {
    type,
    priority: String(priority),
    enabled,
    conditions: conditionsDraft(conditions),
    value: valueDraftOf(value, flag),
    variant,
  };
}

/** Gives the form of a new rule, which would be tried last. */
export function newRuleDraft(type: RuleType, rules: readonly StoredRule[]): RuleDraft {
  const lowest = Math.min(...rules.map(({ priority }) => priority));
  return {
    type,
    priority: String(rules.length === 0 ? 100 : lowest - 10),
    enabled: true,
    conditions: conditionsDraft({}),
    value: { own: false, text: '' },
    variant: '',
  };
}

/** Gives the VINs of a typed list: they may stand on lines, or between commas or blanks. */
export const vinsIn = (text: string): string[] => text.split(/[\s,;]+/).filter((vin) => vin !== '');

function targetOf({ models, version, regions }: ConditionsDraft) {
  return {
    ...(models.length > 0 && { models }),
    ...(version.trim() !== '' && { sw_version: version.trim() }),
    ...(regions.length > 0 && { regions }),
  };
}

function scalarOf({ kind, text }: ScalarDraft): string | number | boolean | null {
  return kind === 'number' ? readNumber(text) : kind === 'boolean' ? text === 'true' : text;
}

function comparisonOf({ attribute, operator, values }: ComparisonDraft) {
  const taken = valuesTaken(operator);
  if (taken === 'none') return { attribute, exists: operator === 'present' };
  return { attribute, operator, values: (taken === 'one' ? values.slice(0, 1) : values).map(scalarOf) };
}

function conditionsOf({ type, conditions: draft }: RuleDraft): object {
  switch (type) {
    case 'PERCENTAGE_ROLLOUT':
      return {
        rollout_percentage: readNumber(draft.percentage),
        ...targetOf(draft),
        ...(draft.salt.trim() !== '' && { salt: draft.salt.trim() }),
        ...(!draft.sticky && { sticky: false }),
      };
    case 'VEHICLE_TARGET':
      return targetOf(draft);
    case 'VEHICLE_WHITELIST':
      return { vins: vinsIn(draft.vins) };
    case 'USER_ATTRIBUTE': {
      const comparisons = draft.comparisons.map(comparisonOf);
      return comparisons.length === 1 ? { ...comparisons[0] } : { all: comparisons };
    }
    case 'KILL_SWITCH':
      return { force_disabled: draft.holds, ...(draft.why.trim() !== '' && { reason: draft.why.trim() }) };
  }
}

/** Gives the conditions with the segment that narrows them. */
function narrowedConditions(draft: RuleDraft): object {
  const segment = draft.conditions.segment.trim();
  const own = conditionsOf(draft);
  return segment === '' || draft.type === 'KILL_SWITCH' ? own : { segment, ...own };
}

/** Gives the path of a comparison in the API's conditions; a single one stands in them by itself. */
export const comparisonPath = ({ comparisons }: ConditionsDraft, index: number): string =>
  comparisons.length === 1 ? 'conditions' : `conditions.all.${index}`;

function faultsOf(draft: RuleDraft, flag: FlagType): Record<string, FieldFault> {
  const { type, conditions, value } = draft;
  const faults: Record<string, FieldFault> = {};
  const priority = readNumber(draft.priority);
  if (priority === null || !Number.isInteger(priority)) faults['priority'] = 'priority';
  if (type === 'PERCENTAGE_ROLLOUT' && readNumber(conditions.percentage) === null)
    faults['conditions.rollout_percentage'] = 'percentage';
  if (type === 'USER_ATTRIBUTE')
    for (const [index, { operator, values }] of conditions.comparisons.entries())
      for (const [place, scalar] of values.entries())
        if (valuesTaken(operator) !== 'none' && scalarOf(scalar) === null)
          faults[`${comparisonPath(conditions, index)}.values.${place}`] = 'number';
  if (type !== 'KILL_SWITCH' && value.own) {
    const read = readValue(value.text, flag);
    if ('wrong' in read) faults['value'] = read.wrong;
  }
  return faults;
}

/** Gives the API's input of a form, or what cannot be sent, by the paths of its fields. */
export function ruleInputOf(
  draft: RuleDraft,
  flag: FlagType,
): { readonly input: RuleInput; readonly faults: null } | { readonly input: null; readonly faults: FieldFaults } {
  const faults = faultsOf(draft, flag);
  if (Object.keys(faults).length > 0) return { input: null, faults };
  const { type, enabled, value, variant } = draft;
  const read = type !== 'KILL_SWITCH' && value.own ? readValue(value.text, flag) : null;
  return {
    faults: null,
    input: {
      type,
      priority: readNumber(draft.priority) ?? 0,
      enabled,
      conditions: narrowedConditions(draft),
      ...(read !== null && 'value' in read && { value: read.value }),
      ...(variant.trim() !== '' && { variant: variant.trim() }),
    },
  };
}

/** Gives a stored rule as the API's input. */
export function inputOfRule({ type, priority, enabled, conditions, value, variant }: StoredRule): RuleInput {
  const own = value === null || value === undefined ? {} : { value };
  return { type, priority, enabled, conditions, variant, ...own };
}

/** Gives the members of a changed rule that differ from what it was; a value that is taken away is null. */
export function changedMembers(was: RuleInput, becomes: RuleInput) {
  const names = ['priority', 'enabled', 'conditions', 'value', 'variant'] as const;
  return Object.fromEntries(
    names.filter((name) => !isSameJson(was[name], becomes[name])).map((name) => [name, becomes[name] ?? null]),
  );
}

/** Gives a rule as somebody has typed it on top of what somebody else has changed meanwhile; listed VINs one by one. */
export function mergedRule(base: RuleDraft, mine: RuleDraft, now: RuleDraft): RuleDraft {
  const merged = mergedDraft(base, mine, now);
  const vins = mergedVins(base.conditions.vins, mine.conditions.vins, now.conditions.vins);
  return { ...merged, conditions: { ...merged.conditions, vins } };
}

/** Gives the text of VINs that two people have listed, each on a line of its own. */
export function mergedVins(base: string, mine: string, now: string): string {
  if (isSameJson(vinsIn(base), vinsIn(mine))) return now;
  if (isSameJson(vinsIn(base), vinsIn(now))) return mine;
  return mergedList(vinsIn(base), vinsIn(mine), vinsIn(now)).join('\n');
}

/** Whether a rule of this form would hold its flag. */
export const isHolding = ({ type, enabled, conditions }: RuleDraft): boolean =>
  type === 'KILL_SWITCH' && enabled && conditions.holds;
