/**
 * Explanations of evaluations, for people: each rule of a flag, whether it decided, and each of its conditions beside
 * what the vehicle has. `evaluateFlag` decides; this says why.
 */
import type { Evaluation, EvaluationContext, FlagDefinition, JsonObject, JsonValue, RuleDefinition } from '../model.ts';
import { isJsonObject, isOneOf } from '../json/json-value.ts';
import { BUCKETS, bucketing } from './bucket.ts';
import { compileFlag, evaluateFlag } from './evaluate.ts';
import type { ScopedEvaluation } from './flag-sets/scoped-flags.ts';
import { splitAudience } from './rules/audience.ts';
import { readObject } from './rules/condition-fields.ts';
import { narrowRules } from './segments/expand-rules.ts';
import { segmentOf, type Segments } from './segments/segment.ts';
import { parsePercentageRollout } from './rules/percentage-rollout.ts';
import { compareRules } from './rules/rule-order.ts';
import { comparisonHolds, parseUserAttribute } from './rules/user-attribute.ts';
import { TARGET_KEYS, isTargeted, readTarget } from './rules/vehicle-target.ts';
import { compileWhitelist, parseWhitelist } from './rules/vehicle-whitelist.ts';
import { whitelistDigest } from './rules/whitelist-digest.ts';

/**
 * The outcome of a rule: it decided; its conditions do not hold; it is disabled; it cannot be read; or the evaluation
 * was settled before it.
 */
export type RuleOutcome = 'DECIDED' | 'NOT_MATCHED' | 'DISABLED' | 'UNREADABLE' | 'NOT_REACHED';

/** The parts of a context that a condition can test. */
export type RuleCheckSubject = 'VIN' | 'MODEL' | 'REGION' | 'SW_VERSION' | 'BUCKET' | 'ATTRIBUTE';

/** One condition of a rule, and the vehicle's side of it. */
export interface RuleCheck {
  readonly about: RuleCheckSubject;
  /** The attribute's name, for a condition on an attribute. */
  readonly attribute: string | null;
  /**
   * The values that satisfy the condition: a list of names, a range of versions, a comparison, the percentage below
   * which buckets match, or the number of VINs in a whitelist.
   */
  readonly expected: JsonValue;
  /** The context's value; for a bucket its place in percent. Null where the context has none. */
  readonly actual: JsonValue;
  readonly holds: boolean;
  /** The key of the segment that the condition comes from; absent for a condition of the rule itself. */
  readonly segment?: string;
}

/** One rule of the flag. Its checks are empty where the rule cannot be read or has no conditions. */
export interface RuleExplanation<Rule extends RuleDefinition = RuleDefinition> {
  readonly rule: Rule;
  readonly outcome: RuleOutcome;
  readonly checks: readonly RuleCheck[];
}

/** An evaluation with every rule of its flag, in the order in which they are tried. */
export interface Explanation<Rule extends RuleDefinition = RuleDefinition> {
  readonly evaluation: Evaluation;
  readonly rules: readonly RuleExplanation<Rule>[];
}

const check = (
  about: RuleCheckSubject,
  expected: JsonValue,
  actual: JsonValue | undefined,
  holds: boolean,
  attribute: string | null = null,
): RuleCheck => ({ about, attribute, expected, actual: actual ?? null, holds });

const ROLLOUT_KEYS = ['rollout_percentage', 'sticky', 'salt', ...TARGET_KEYS];
const COMPARISON_KEYS = ['attribute', 'operator', 'values', 'exists'];

const TARGETS = {
  models: ['MODEL', 'model'],
  regions: ['REGION', 'region'],
  sw_version: ['SW_VERSION', 'swVersion'],
} as const;

/** Explains the models, versions and regions that a rule names. */
function targetChecks(conditions: JsonValue, context: EvaluationContext): RuleCheck[] {
  return Object.entries(readObject(conditions, 'conditions', ROLLOUT_KEYS)).flatMap(([key, expected]) => {
    if (!isOneOf(TARGET_KEYS, key)) return [];
    const [about, member] = TARGETS[key];
    const target = readTarget({ [key]: expected }, 'conditions');
    return [check(about, expected, context[member], isTargeted(target, context))];
  });
}

/** Explains the draw of a percentage rollout, in percent of all buckets. */
function bucketCheck(conditions: JsonValue, flagKey: string, { vin }: EvaluationContext, nonce: string): RuleCheck {
  const { threshold, salt, sticky } = parsePercentageRollout(conditions, 'conditions');
  const inPercent = (buckets: number) => (buckets * 100) / BUCKETS;
  if (typeof vin !== 'string' || vin === '') return check('BUCKET', inPercent(threshold), null, false);
  const bucket = bucketing(salt ?? flagKey)(vin, sticky ? '' : nonce);
  return check('BUCKET', inPercent(threshold), inPercent(bucket), bucket < threshold);
}

function attributeChecks(conditions: JsonValue, { attributes }: EvaluationContext): RuleCheck[] {
  const { all } = readObject(conditions, 'conditions', ['all', ...COMPARISON_KEYS]);
  const comparisons = Array.isArray(all) ? all : [conditions];
  const known: JsonObject = isJsonObject(attributes) ? attributes : {};
  return parseUserAttribute(conditions, 'conditions').map((comparison, index) => {
    const { attribute } = comparison;
    const actual = Object.hasOwn(known, attribute) ? known[attribute] : null;
    const expected = Object.fromEntries(
      Object.entries(readObject(comparisons[index], 'conditions', COMPARISON_KEYS)).filter(
        ([key]) => key !== 'attribute',
      ),
    );
    return check('ATTRIBUTE', expected, actual, comparisonHolds(comparison, known), attribute);
  });
}

function listCheck(list: JsonValue, ruleId: string, context: EvaluationContext): RuleCheck {
  const whitelist = parseWhitelist(list, 'conditions');
  const listed = compileWhitelist(whitelist, (vin) => whitelistDigest(ruleId, vin))(context, '');
  const { size } = whitelist.form === 'vins' ? whitelist.vins : whitelist.digests;
  return check('VIN', size, context.vin, listed);
}

function ownChecks(
  { id, type }: RuleDefinition,
  own: JsonValue,
  flagKey: string,
  context: EvaluationContext,
  nonce: string,
): RuleCheck[] {
  switch (type) {
    case 'kill_switch':
      return [];
    case 'vehicle_whitelist':
      return [listCheck(own, id, context)];
    case 'vehicle_target':
      return targetChecks(own, context);
    case 'user_attribute':
      return attributeChecks(own, context);
    case 'percentage_rollout':
      return [...targetChecks(own, context), bucketCheck(own, flagKey, context, nonce)];
  }
}

/** Explains the audience of a rule. */
function audienceChecks(audience: JsonObject, ruleId: string, context: EvaluationContext): RuleCheck[] {
  return Object.entries(audience).flatMap(([key, expected]) => {
    const member = { [key]: expected };
    if (key === 'vins' || key === 'digests') return [listCheck(member, ruleId, context)];
    return key === 'all' ? attributeChecks(member, context) : targetChecks(member, context);
  });
}

/**
 * Explains the conditions of a rule that can be read. A kill switch that is not pulled has none.
 *
 * @param narrowed the rule with its segment as an audience
 */
function checksOf(
  rule: RuleDefinition,
  narrowed: RuleDefinition,
  flagKey: string,
  context: EvaluationContext,
  nonce: string,
): RuleCheck[] {
  const { audience, own } = splitAudience(narrowed.conditions);
  const segment = segmentOf(rule);
  const belongs = isJsonObject(audience) ? audienceChecks(audience, rule.id, context) : [];
  return [
    ...belongs.map((one) => (segment === null ? one : { ...one, segment })),
    ...ownChecks(rule, own, flagKey, context, nonce),
  ];
}

/**
 * Evaluates a flag and explains the result.
 *
 * @param nonce the agent's string for `sticky: false`; empty for a sticky draw
 * @param segments the segments that the flag's rules name; none for a definition that has been signed
 * @param evaluated the evaluation together with other flags; absent, the flag is evaluated alone
 * @returns that evaluation. The rule that decided is the one whose outcome is DECIDED, and of
 *   the rules before it that can be read none has checks that all hold
 */
export function explainFlag<Rule extends RuleDefinition>(
  flag: FlagDefinition & { readonly rules: readonly Rule[] },
  context: EvaluationContext,
  nonce = '',
  segments: Segments = new Map(),
  evaluated?: ScopedEvaluation,
): Explanation<Rule> {
  const written: readonly Rule[] = flag.rules;
  const narrowed = narrowRules(written, segments);
  const pairs = written.map((rule, index) => ({ rule, narrow: narrowed[index]! }));
  const compiled = compileFlag({ ...flag, rules: narrowed });
  const evaluation = evaluated?.evaluation ?? evaluateFlag(compiled, context, { nonce });
  const unreadable = new Set(compiled.unreadableRules);
  let isSettled =
    compiled.settled !== null || evaluation.reason === 'PREREQUISITE_FAILED' || evaluated?.inScope === false;
  pairs.sort((left, right) => compareRules(left.rule, right.rule));
  const rules = pairs.map(({ rule, narrow }): RuleExplanation<Rule> => {
    const canBeRead = !unreadable.has(rule.id);
    const checks = rule.enabled && canBeRead ? checksOf(rule, narrow, flag.key, context, nonce) : [];
    const decided = rule.id === evaluation.ruleId;
    const passed: RuleOutcome = isSettled ? 'NOT_REACHED' : 'NOT_MATCHED';
    if (decided) isSettled = true;
    if (!rule.enabled) return { rule, outcome: 'DISABLED', checks };
    if (!canBeRead) return { rule, outcome: 'UNREADABLE', checks };
    return { rule, outcome: decided ? 'DECIDED' : passed, checks };
  });
  return { evaluation, rules };
}
