/**
 * Evaluates flags: which value a flag has for a vehicle, and why. The server and the vehicle run this same code.
 * Source: design.md, "Evaluation"; the numbers below are its steps. Flags that may depend on each other are evaluated
 * together (compiled-set.ts).
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
import { nextContent, servableValues } from './values/contract-fault.ts';
import { compileRule } from './rules/compile-rule.ts';
import type { Matcher } from './rules/condition-fields.ts';
import { fitsFlagType, presentDefault } from './values/flag-value.ts';
import { isJsonObject, isOneOf } from '../json/json-value.ts';
import { isKilled, isKilling } from './rules/kill-switch.ts';
import { CONTROL, isMet, readPrerequisites, type Prerequisite } from './flag-sets/prerequisites.ts';
import { compareRules } from './rules/rule-order.ts';
import { variantOf } from './rules/rule-variant.ts';
import { frozenJson } from '../json/frozen-json.ts';
import { readRelease } from './release.ts';

interface CompiledRule {
  readonly matches: Matcher;
  readonly evaluation: Evaluation;
}

/** A content that is ready to be evaluated: of a flag that is neither killed nor disabled. */
export interface CompiledContent {
  readonly stale: Evaluation;
  /** The flags that this one requires, and then those that it excludes. */
  readonly prerequisites: readonly Prerequisite[];
  /** The evaluation by the first prerequisite that is not met where there are no other flags; null where all are. */
  readonly alone: Evaluation | null;
  readonly rules: readonly CompiledRule[];
  readonly unmatched: Evaluation;
}

/** A release, ready to be evaluated. */
export interface CompiledRelease {
  /** Says whether the vehicle of a context gets the new content. */
  readonly isIn: (context: EvaluationContext) => boolean;
  readonly next: CompiledContent;
}

/**
 * A flag that is ready to be evaluated: its stable content, and the new one while a release is under way. It is
 * immutable and valid for as long as the definition is.
 */
export interface CompiledFlag extends CompiledContent {
  readonly key: string;
  readonly revision: number;
  /**
   * The ids of enabled rules that never match because they cannot be read, or serve a value outside the flag's value
   * contract ('' where a rule has no id).
   */
  readonly unreadableRules: readonly string[];
  /** Whether a default value is outside the flag's value contract, or that cannot be read: nobody may get this flag. */
  readonly outsideContract: boolean;
  /** Whether a prerequisite cannot be read. Such a one is never met. */
  readonly hasUnreadablePrerequisite: boolean;
  /** Whether there is a release that cannot be read. Nobody is in it. */
  readonly hasUnreadableRelease: boolean;
  /** The evaluation that a killed, disabled or fixed flag gives to everybody (steps 1 and 2); null for other flags. */
  readonly settled: Evaluation | null;
  /** The release that is under way; null for none. */
  readonly release: CompiledRelease | null;
}

/** The facts that the caller of an evaluation knows beside the context. */
export interface EvaluationOptions {
  /** Whether the definition is older than its TTL. The caller decides that, because evaluation has no clock. */
  readonly stale?: boolean;
  /** The string that the agent draws at its start for `sticky: false` rollouts. Absent, such a rollout is sticky. */
  readonly nonce?: string;
}

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
  // oxlint-disable-next-line typescript/consistent-type-assertions -- compareRules orders any JSON, so that garbage in one kill switch does not hide another
  const killing = rules.filter(isKilling) as RuleDefinition[];
  const id: unknown = killing.sort(compareRules)[0]?.id;
  return typeof id === 'string' ? id : null;
}

/** A content of a flag, and what of it this version does not understand. */
interface ReadContent {
  readonly content: CompiledContent;
  readonly unreadableRules: readonly string[];
  readonly outsideContract: boolean;
  readonly hasUnreadablePrerequisite: boolean;
}

/** Prepares one content of a flag. Never throws, whatever JSON its members are. */
function compileContent(flag: JsonObject, key: string, revision: number): ReadContent {
  const byDefault = defaultOf(flag, revision);
  const { prerequisites, areReadable } = readPrerequisites(flag['requires'], flag['excludes'], (failedPrerequisite) =>
    Object.freeze({ ...byDefault('PREREQUISITE_FAILED'), failedPrerequisite }),
  );
  const { value: defaultValue } = byDefault('DEFAULT');
  const mayServe = servableValues(flag['valueSchema']);
  const unreadableRules: string[] = [];
  const readable: { rule: ServableRule; compiled: CompiledRule }[] = [];
  for (const rule of rulesOf(flag)) {
    if (!isJsonObject(rule) || rule['enabled'] !== true || isKilling(rule)) continue;
    const servable = isServable(rule, flag) ? rule : null;
    const matches = servable === null ? null : compileRule(servable, key);
    const evaluation = servable === null ? null : evaluationOf(servable, flag, defaultValue, revision);
    const isOutside = evaluation !== null && servable?.type !== 'kill_switch' && !mayServe(evaluation.value);
    if (servable === null || matches === null || evaluation === null || isOutside)
      unreadableRules.push(typeof rule['id'] === 'string' ? rule['id'] : '');
    else readable.push({ rule: servable, compiled: { matches, evaluation } });
  }
  readable.sort((left, right) => compareRules(left.rule, right.rule));
  const content = {
    stale: byDefault('STALE'),
    prerequisites,
    alone:
      prerequisites.find((prerequisite) => prerequisite.key === key || !isMet(prerequisite, undefined))?.failed ?? null,
    rules: readable.map(({ compiled }) => compiled),
    unmatched: byDefault('DEFAULT'),
  };
  return {
    content: Object.freeze(content),
    unreadableRules,
    outsideContract: !mayServe(defaultValue),
    hasUnreadablePrerequisite: !areReadable,
  };
}

function rulesOf(flag: JsonObject): readonly unknown[] {
  return Array.isArray(flag['rules']) ? flag['rules'] : [];
}

/** Gives the function that makes the evaluations by a content's default value. */
function defaultOf(flag: JsonObject, revision: number) {
  const value = frozenJson(presentDefault(flag['type'], flag['defaultValue'] ?? null));
  return (reason: EvaluationReason, ruleId: string | null = null): Evaluation =>
    Object.freeze({ value, variant: CONTROL, reason, ruleId, revision });
}

/** Gives the evaluation of a killed or disabled flag; null for other flags. Both stand outside a release. */
function settledOf(flag: JsonObject, revision: number, next: JsonObject | null): Evaluation | null {
  const rules = [...rulesOf(flag), ...(next === null ? [] : rulesOf(next))];
  const killed = isKilled(rules);
  if (!killed && flag['enabled'] === true) return null;
  return defaultOf(flag, revision)('DISABLED', killed ? killingRuleId(rules) : null);
}

/**
 * Gives the content of a disabled flag: of a flag that a release switches on, in the vehicles that it has not reached.
 */
function disabledContent(flag: JsonObject, revision: number): CompiledContent {
  const unmatched = defaultOf(flag, revision)('DISABLED');
  return { stale: unmatched, prerequisites: [], alone: null, rules: [], unmatched };
}

/**
 * Prepares a flag for evaluation. Never throws: any other JSON than a definition becomes a flag that gives its
 * `defaultValue`, or null, to everybody. A rule that cannot be read, or that serves a value outside the value contract,
 * never matches, and nobody is in a release that cannot be read.
 *
 * A rule whose `value` is null or absent serves `true` on a boolean flag and the flag's default value on the others. It
 * keeps the rule's variant and reason, so that its vehicles can still be distinguished.
 */
export function compileFlag(definition: FlagDefinition): CompiledFlag {
  const flag: JsonObject = isJsonObject(definition) ? definition : {};
  const key = typeof flag['key'] === 'string' ? flag['key'] : '';
  const revision =
    typeof flag['revision'] === 'number' && Number.isSafeInteger(flag['revision']) ? flag['revision'] : 0;
  const stable = compileContent(flag, key, revision);
  const release = readRelease(flag['release']);
  const read = release === 'unreadable' ? null : release;
  const next = read && compileContent({ ...nextContent(flag, read.next), type: flag['type'] ?? null }, key, revision);
  return Object.freeze({
    ...(read?.isSwitchedOn === true ? disabledContent(flag, revision) : stable.content),
    key,
    revision,
    unreadableRules: [...stable.unreadableRules, ...(next?.unreadableRules ?? [])],
    outsideContract: stable.outsideContract || next?.outsideContract === true,
    hasUnreadablePrerequisite: stable.hasUnreadablePrerequisite || next?.hasUnreadablePrerequisite === true,
    hasUnreadableRelease: release === 'unreadable',
    settled: settledOf(flag, revision, read && read.next),
    release: read && next && Object.freeze({ isIn: read.isIn, next: next.content }),
  });
}

/**
 * Gives a flag that serves one evaluation to everybody, whatever it depends on: a value that somebody has set by hand
 * on this machine.
 */
export function fixedFlag(key: string, given: Evaluation): CompiledFlag {
  const settled = Object.freeze(given);
  return Object.freeze({
    key,
    revision: given.revision,
    unreadableRules: [],
    outsideContract: false,
    settled,
    stale: settled,
    prerequisites: [],
    hasUnreadablePrerequisite: false,
    hasUnreadableRelease: false,
    alone: null,
    rules: [],
    unmatched: settled,
    release: null,
  });
}

const NOBODY: EvaluationContext = {};

/**
 * Gives the content of a flag that counts for a context: the new one in the ring of its release, else the stable one.
 */
export function contentFor(flag: CompiledFlag, context: EvaluationContext): CompiledContent {
  const { release } = flag;
  return release !== null && release.isIn(isJsonObject(context) ? context : NOBODY) ? release.next : flag;
}

/** Gives the contents of a flag: the stable one and, while a release is under way, the new one. */
export function contentsOf(flag: CompiledFlag): readonly CompiledContent[] {
  return flag.release === null ? [flag] : [flag, flag.release.next];
}

/** Says whether a flag may serve another value when another flag changes. */
export function dependsOnOthers(flag: CompiledFlag): boolean {
  return contentsOf(flag).some(({ prerequisites }) => prerequisites.length > 0);
}

/**
 * Evaluates the rules of a content, as if its flag were neither killed nor disabled nor stale and depended on none: (3,
 * 4) the first rule that matches, (5) the default.
 *
 * @param nonce the string of the agent's start; '' for a sticky draw
 */
export function evaluateRules(content: CompiledContent, context: EvaluationContext, nonce: string): Evaluation {
  const known = isJsonObject(context) ? context : NOBODY;
  for (const rule of content.rules) {
    if (rule.matches(known, nonce)) return rule.evaluation;
  }
  return content.unmatched;
}

/**
 * Evaluates a flag for a context: (1) killed, (2) disabled, (6) stale, its dependencies, (3, 4) the first rule that
 * matches, (5) the default. Deterministic. Never throws, whatever JSON the context is; one that is not an object counts
 * as empty.
 *
 * The flag is evaluated as the only one of its vehicle: whatever it requires is missing. A flag beside others is
 * evaluated by a `CompiledSet`.
 *
 * @returns a deeply frozen evaluation, the same object for all contexts with this result
 */
export function evaluateFlag(
  compiled: CompiledFlag,
  context: EvaluationContext,
  options?: EvaluationOptions,
): Evaluation {
  if (compiled.settled !== null) return compiled.settled;
  const content = contentFor(compiled, context);
  if (options?.stale === true) return content.stale;
  if (content.alone !== null) return content.alone;
  return evaluateRules(content, context, options?.nonce ?? '');
}
