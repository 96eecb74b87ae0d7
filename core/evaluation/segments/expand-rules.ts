/**
 * Puts what segments say in place of their names. Where an older form of a rule can say it, that form is used, so that
 * older programs evaluate the rule. Elsewhere the rule gets an audience (rules/audience.ts), and older programs let it
 * match nobody. Source: scopes.md, "Segments".
 */
import { isJsonObject } from '../../json/json-value.ts';
import type { JsonObject, JsonValue, RuleDefinition } from '../../model.ts';
import { isPossibleRange, readRange } from '../versions/version-range.ts';
import { TARGET_KEYS } from '../rules/vehicle-target.ts';
import { segmentOf, type ResolvedSegment, type Segments } from './segment.ts';

/** The most comparisons in one list (rules/user-attribute.ts). */
const MAX_COMPARISONS = 100;

type Rule = RuleDefinition;

/** The conditions of a whitelist that lists no vehicle. Every program that reads whitelists reads it. */
const NOBODY: JsonObject = { digests: [] };

/** A rule in an older form; null where the rule matches no vehicle, undefined where no older form can say it. */
type OlderForm = Pick<Rule, 'type' | 'conditions'> | null | undefined;

/** Says whether another rule is tried at the same priority among those of a type. */
type IsTaken = (type: Rule['type']) => boolean;

const isTarget = (key: string) => TARGET_KEYS.some((known) => known === key);

const listIn = (value: JsonValue | undefined): JsonValue[] => (Array.isArray(value) ? value : []);
const textsIn = (value: JsonValue | undefined) => listIn(value).filter((item) => typeof item === 'string');
const namesIn = (value: JsonValue | undefined) => textsIn(value).map((name) => name.trim());

function inBoth(left: readonly string[], right: readonly string[]): readonly string[] {
  const others = new Set(right);
  return left.filter((item) => others.has(item));
}

/** Gives a segment as an audience, with VINs in place of its tags. */
function audienceOf({ conditions, tagged }: ResolvedSegment): JsonObject {
  const { vins, tags: _, ...others } = conditions;
  const lists = [...(vins === undefined ? [] : [textsIn(vins)]), ...(tagged === null ? [] : [tagged])];
  if (lists.length === 0) return others;
  const listed = lists.reduce(inBoth);
  return { ...others, ...(listed.length === 0 ? NOBODY : { vins: [...listed] }) };
}

const textOf = (value: JsonValue | undefined) => (typeof value === 'string' ? value : '');

/**
 * Gives a range of the versions that are in both ranges; null where no version can be, undefined where one text cannot
 * say it.
 */
function rangeOfBoth(left: JsonValue | undefined, right: JsonValue | undefined): string | null | undefined {
  const [ours, theirs] = [textOf(left), textOf(right)];
  if (/\s-\s/.test(`${ours} ${theirs}`)) return undefined;
  const both = ours
    .split('||')
    .flatMap((one) => theirs.split('||').map((other) => `${one.trim()} ${other.trim()}`))
    .join(' || ');
  const range = readRange(both);
  if (range === null) return undefined;
  return isPossibleRange(range) ? both : null;
}

/** Gives the conditions with the targets of an audience, for a rule that has targets of its own. */
function targetsOfBoth(own: JsonObject, audience: JsonObject): JsonObject | null | undefined {
  const both: JsonObject = { ...own };
  for (const [key, wanted] of Object.entries(audience)) {
    if (!Object.hasOwn(own, key)) both[key] = wanted;
    else if (key === 'sw_version') {
      const range = rangeOfBoth(own[key], wanted);
      if (typeof range !== 'string') return range;
      both[key] = range;
    } else {
      const names = inBoth(namesIn(own[key]), namesIn(wanted));
      if (names.length === 0) return null;
      both[key] = [...names];
    }
  }
  return both;
}

/** Gives a vehicle_target rule that has no conditions of its own as a rule of the type that says its audience. */
function standingAlone(audience: JsonObject, isTaken: IsTaken): OlderForm {
  const keys = Object.keys(audience);
  if (keys.every(isTarget)) return { type: 'vehicle_target', conditions: audience };
  if (keys.length > 1) return undefined;
  // A rule of another type is tried in another place among rules of the same priority; that of two whitelists would
  // depend on their ids.
  const type = keys[0] === 'vins' ? 'vehicle_whitelist' : 'user_attribute';
  return isTaken(type) ? undefined : { type, conditions: audience };
}

function listOfBoth(own: JsonObject, { vins }: JsonObject): OlderForm {
  const both = inBoth(textsIn(own['vins']), textsIn(vins));
  return both.length === 0 ? null : { type: 'vehicle_whitelist', conditions: { vins: [...both] } };
}

function comparisonsOfBoth(own: JsonObject, { all }: JsonObject): OlderForm {
  const both = [...(Array.isArray(own['all']) ? own['all'] : [own]), ...listIn(all)];
  return both.length > MAX_COMPARISONS ? undefined : { type: 'user_attribute', conditions: { all: both } };
}

function olderForm(type: Rule['type'], own: JsonObject, audience: JsonObject, isTaken: IsTaken): OlderForm {
  const keys = Object.keys(audience);
  const only = keys.length === 1 ? keys[0] : undefined;
  if (type === 'vehicle_target' && Object.keys(own).length === 0) return standingAlone(audience, isTaken);
  if (type === 'vehicle_whitelist' && only === 'vins') return listOfBoth(own, audience);
  if (type === 'user_attribute' && only === 'all') return comparisonsOfBoth(own, audience);
  if ((type !== 'vehicle_target' && type !== 'percentage_rollout') || !keys.every(isTarget)) return undefined;
  const both = targetsOfBoth(own, audience);
  return both && { type, conditions: both };
}

const nobody: NonNullable<OlderForm> = { type: 'vehicle_whitelist', conditions: NOBODY };

/** Gives the conditions of a rule's type, and its segment as an audience; null for a rule that names no segment. */
function partsOf(rule: Rule, segments: Segments): { own: JsonObject; audience: JsonObject } | null {
  const key = rule.type === 'kill_switch' ? null : segmentOf(rule);
  if (key === null || !isJsonObject(rule.conditions)) return null;
  const { segment: _, ...own } = rule.conditions;
  const segment = segments.get(key);
  return { own, audience: segment === undefined ? NOBODY : audienceOf(segment) };
}

/**
 * Gives rules without names of segments, in the form in which they are signed (signedConditions still makes digests of
 * their VINs). The same vehicles match, and in the same order of rules. A rule that names no segment stays the same
 * object.
 *
 * @param rules all rules of a flag
 */
export function expandRules<R extends Rule>(rules: readonly R[], segments: Segments): R[] {
  return rules.map((rule) => {
    const parts = partsOf(rule, segments);
    if (parts === null) return rule;
    const { own, audience } = parts;
    if (Object.hasOwn(audience, 'digests')) return { ...rule, ...nobody };
    const isTaken: IsTaken = (type) =>
      rules.some((other) => other !== rule && other.type === type && other.priority === rule.priority);
    const form = olderForm(rule.type, own, audience, isTaken);
    if (form === undefined) return { ...rule, conditions: { ...own, audience } };
    return { ...rule, ...(form ?? nobody) };
  });
}

/** Gives rules with their segments as audiences, each rule in its own type: the form that explanations are made of. */
export function narrowRules<R extends Rule>(rules: readonly R[], segments: Segments): R[] {
  return rules.map((rule) => {
    const parts = partsOf(rule, segments);
    return parts === null ? rule : { ...rule, conditions: { ...parts.own, audience: parts.audience } };
  });
}
