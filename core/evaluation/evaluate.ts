/**
 * Evaluates flags: which value a flag has for a vehicle, and why. The server and the vehicle run this same code.
 * Source: design.md, "Evaluation"; the numbers below are its steps.
 *
 * A definition changes rarely and is evaluated often. So `compileFlag` does everything once that does not depend on the
 * context. It also makes all evaluations that the flag can give, so that evaluating allocates nothing.
 */
import {
  RULE_TYPES,
  type Evaluation,
  type EvaluationContext,
  type EvaluationReason,
  type FlagDefinition,
  type JsonObject,
  type JsonValue,
  type RuleDefinition,
} from '../model.ts';
import { compileRule } from './rules/compile-rule.ts';
import type { Matcher } from './rules/condition-fields.ts';
import { fitsFlagType, presentDefault } from './flag-value.ts';
import { isJsonObject, isOneOf } from '../json/json-value.ts';
import { isKilled, isKilling } from './rules/kill-switch.ts';
import { compareRules } from './rules/rule-order.ts';
import { variantOf } from './rules/rule-variant.ts';
import { frozenJson } from '../json/frozen-json.ts';

export { isKilled };

interface CompiledRule {
  readonly matches: Matcher;
  readonly evaluation: Evaluation;
}

/** A flag that is ready to be evaluated. It is immutable and valid for as long as the definition is. */
export interface CompiledFlag {
  readonly key: string;
  readonly revision: number;
  /** The ids of enabled rules that never match because they cannot be read ('' where a rule has no id). */
  readonly unreadableRules: readonly string[];
  /** The evaluation that a killed or disabled flag gives to everybody (steps 1 and 2); null for other flags. */
  readonly settled: Evaluation | null;
  readonly stale: Evaluation;
  readonly rules: readonly CompiledRule[];
  readonly unmatched: Evaluation;
}

/** What the caller of an evaluation knows beside the context. */
export interface EvaluationOptions {
  /** Whether the definition is older than its TTL. The caller decides that, because evaluation has no clock. */
  readonly stale?: boolean;
  /** The string that the agent draws at its start for `sticky: false` rollouts. Absent, such a rollout is sticky. */
  readonly nonce?: string;
}

const CONTROL = 'control';

/** A rule whose place in the order of rules is known. */
type ServableRule = JsonObject & Pick<RuleDefinition, 'id' | 'type' | 'priority'>;

/** Makes the evaluation that a matching rule gives (steps 3 and 4). */
function evaluationOf(rule: ServableRule, flag: JsonObject, defaultValue: JsonValue, revision: number): Evaluation {
  const { value = null } = rule;
  const bare = flag['type'] === 'boolean' ? true : defaultValue;
  return Object.freeze({
    value: value === null ? bare : frozenJson(value),
    variant: variantOf(rule),
    reason: rule.type === 'percentage_rollout' ? 'SPLIT' : 'TARGETING_MATCH',
    ruleId: rule.id,
    revision,
  });
}

/** Says whether a rule has a certain place in the order and a value of the flag's type; otherwise it is unreadable. */
function isServable(rule: JsonObject, flag: JsonObject): rule is ServableRule {
  const { id, type, priority, value = null } = rule;
  return (
    typeof id === 'string' &&
    isOneOf(RULE_TYPES, type) &&
    Number.isFinite(priority) &&
    (value === null || fitsFlagType(flag['type'], value))
  );
}

function killingRuleId(rules: readonly unknown[]): string | null {
  // eslint-disable-next-line @typescript-eslint/consistent-type-assertions -- compareRules orders any JSON, so that garbage in one kill switch does not hide another
  const killing = rules.filter(isKilling) as RuleDefinition[];
  const id: unknown = killing.sort(compareRules)[0]?.id;
  return typeof id === 'string' ? id : null;
}

/**
 * Prepares a flag for evaluation. Never throws: any other JSON than a definition becomes a flag that gives its
 * `defaultValue`, or null, to everybody. A rule that cannot be read never matches.
 *
 * A rule whose `value` is null or absent serves `true` on a boolean flag and the flag's default value on the others. It
 * keeps the rule's variant and reason, so that its vehicles can still be told apart.
 */
export function compileFlag(definition: FlagDefinition): CompiledFlag {
  const flag: JsonObject = isJsonObject(definition) ? definition : {};
  const key = typeof flag['key'] === 'string' ? flag['key'] : '';
  const revision =
    typeof flag['revision'] === 'number' && Number.isSafeInteger(flag['revision']) ? flag['revision'] : 0;
  const defaultValue = frozenJson(presentDefault(flag['type'], flag['defaultValue'] ?? null));
  const byDefault = (reason: EvaluationReason, ruleId: string | null = null): Evaluation =>
    Object.freeze({ value: defaultValue, variant: CONTROL, reason, ruleId, revision });

  const allRules: readonly unknown[] = Array.isArray(flag['rules']) ? flag['rules'] : [];
  const unreadableRules: string[] = [];
  const readable: { rule: ServableRule; compiled: CompiledRule }[] = [];
  for (const rule of allRules) {
    if (!isJsonObject(rule) || rule['enabled'] !== true || isKilling(rule)) continue;
    const servable = isServable(rule, flag) ? rule : null;
    const matches = servable === null ? null : compileRule(servable, key);
    if (servable === null || matches === null) unreadableRules.push(typeof rule['id'] === 'string' ? rule['id'] : '');
    else
      readable.push({
        rule: servable,
        compiled: { matches, evaluation: evaluationOf(servable, flag, defaultValue, revision) },
      });
  }
  readable.sort((left, right) => compareRules(left.rule, right.rule));

  let settled: Evaluation | null = null;
  if (isKilled(allRules)) settled = byDefault('DISABLED', killingRuleId(allRules));
  else if (flag['enabled'] !== true) settled = byDefault('DISABLED');

  return Object.freeze({
    key,
    revision,
    unreadableRules,
    settled,
    stale: byDefault('STALE'),
    rules: readable.map(({ compiled }) => compiled),
    unmatched: byDefault('DEFAULT'),
  });
}

const NOBODY: EvaluationContext = {};

/**
 * Evaluates a flag for a context: (1) killed, (2) disabled, (6) stale, (3, 4) the first rule that matches, (5) the
 * default. Deterministic. Never throws, whatever JSON the context is; one that is not an object counts as empty.
 *
 * @returns a deeply frozen evaluation, the same object for all contexts with this result
 */
export function evaluateFlag(
  compiled: CompiledFlag,
  context: EvaluationContext,
  options?: EvaluationOptions,
): Evaluation {
  if (compiled.settled !== null) return compiled.settled;
  if (options?.stale === true) return compiled.stale;
  const known = isJsonObject(context) ? context : NOBODY;
  const nonce = options?.nonce ?? '';
  for (const rule of compiled.rules) {
    if (rule.matches(known, nonce)) return rule.evaluation;
  }
  return compiled.unmatched;
}
