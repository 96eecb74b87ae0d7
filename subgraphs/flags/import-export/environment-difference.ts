/** Differences between an environment and a file, flag by flag and member by member. Pure. */
import type { JsonObject, JsonValue } from '../../../core/model.ts';
import { canonicalJson } from '../../../core/json/canonical-json.ts';
import { isJsonObject } from '../../../core/json/json-value.ts';
import { requirementContent } from '../flags/flag.ts';
import type { FlagEntry, RuleEntry } from '../../../core/wire/flag-files/environment-file.ts';

/**
 * One member that differs. `path` is relative to the flag: `enabled`, `rules.vehicle_target@100.conditions.models`. A
 * side that lacks the member is undefined.
 */
export interface MemberDifference {
  readonly path: string;
  readonly before: JsonValue | undefined;
  readonly after: JsonValue | undefined;
}

/** A flag that differs between an environment and a file. */
export type FlagDifference =
  | { readonly kind: 'created'; readonly key: string; readonly entry: FlagEntry }
  | {
      readonly kind: 'changed';
      readonly key: string;
      readonly entry: FlagEntry;
      readonly members: readonly MemberDifference[];
    }
  /** The flag is in the environment and not in the file. */
  | { readonly kind: 'only-here'; readonly key: string };

/** Gives the differences between two lists of flags, by key. Flags that are equal in both are left out. */
export function differences(here: readonly FlagEntry[], file: readonly FlagEntry[]): FlagDifference[] {
  const present = new Map(here.map((entry) => [entry.key, entry]));
  const wanted = new Set(file.map(({ key }) => key));
  const found: FlagDifference[] = here
    .filter(({ key }) => !wanted.has(key))
    .map(({ key }) => ({ kind: 'only-here', key }));
  for (const entry of file) {
    const { key } = entry;
    const before = present.get(key);
    if (before === undefined) found.push({ kind: 'created', key, entry });
    else {
      const members = memberDifferences(before, entry);
      if (members.length > 0) found.push({ kind: 'changed', key, entry, members });
    }
  }
  return found.sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** Gives the name that identifies a rule within its flag: type and priority. */
export function ruleName({ type, priority }: Pick<RuleEntry, 'type' | 'priority'>): string {
  return `${type}@${priority}`;
}

/**
 * Gives what a rule does and for which vehicles, without its priority, its rollout's progress and whether it is
 * enabled.
 */
function subjectOf({ type, conditions, value, variant }: RuleEntry): string {
  const { rollout_percentage: _, ...others } = isJsonObject(conditions) ? conditions : {};
  return canonicalJson([type, isJsonObject(conditions) ? others : conditions, value, variant]);
}

/**
 * Pairs each rule of the file with an existing rule: with one that says the same at the same place, or else at another
 * place, and only then with another rule at its place. A rule that has moved stays the rule to which its rollout
 * belongs.
 */
export function pairRules<R extends RuleEntry>(present: readonly R[], wanted: readonly RuleEntry[]): Map<RuleEntry, R> {
  const pairs = new Map<RuleEntry, R>();
  const free = new Set(present);
  const pair = (fits: (rule: R, entry: RuleEntry) => boolean) => {
    for (const entry of wanted) {
      if (pairs.has(entry)) continue;
      const rule = [...free].find((candidate) => fits(candidate, entry));
      if (rule === undefined) continue;
      pairs.set(entry, rule);
      free.delete(rule);
    }
  };
  const subjects = new Map<RuleEntry, string>([...present, ...wanted].map((rule) => [rule, subjectOf(rule)] as const));
  const same = (rule: R, entry: RuleEntry) => subjects.get(rule) === subjects.get(entry);
  const there = (rule: R, entry: RuleEntry) => ruleName(rule) === ruleName(entry);
  pair((rule, entry) => there(rule, entry) && same(rule, entry));
  pair(same);
  pair(there);
  return pairs;
}

/** Checks whether two rules do the same for the same vehicles, at whatever place and percentage. */
export function sameSubject(a: RuleEntry, b: RuleEntry): boolean {
  return subjectOf(a) === subjectOf(b);
}

/** Checks whether two rules say the same. */
export function sameRule(a: RuleEntry, b: RuleEntry): boolean {
  return canonicalJson(a) === canonicalJson(b);
}

/** Gives the differences between two JSON values: of objects those of their members, each with its path. */
export function valueDifferences(path: string, before: JsonValue, after: JsonValue): MemberDifference[] {
  const found: MemberDifference[] = [];
  compare(path, before, after, found);
  return found;
}

function memberDifferences(before: FlagEntry, after: FlagEntry): MemberDifference[] {
  const { rules: rulesBefore } = before;
  const { rules: rulesAfter } = after;
  const found: MemberDifference[] = [];
  const parts = new Map(Object.entries(ownMembers(after)));
  for (const [name, value] of Object.entries(ownMembers(before))) compare(name, value, parts.get(name), found);
  const former = new Map(rulesBefore.map((rule) => [ruleName(rule), rule]));
  const kept = new Set(rulesAfter.map(ruleName));
  for (const rule of rulesBefore)
    if (!kept.has(ruleName(rule)))
      found.push({ path: `rules.${ruleName(rule)}`, before: shown(rule), after: undefined });
  for (const rule of rulesAfter) {
    const was = former.get(ruleName(rule));
    compare(`rules.${ruleName(rule)}`, was === undefined ? undefined : shown(was), shown(rule), found);
  }
  return found;
}

/** Gives a flag without its rules. */
function ownMembers({ rules: _, scope, requires, excludes, ...others }: FlagEntry): JsonObject {
  return {
    ...others,
    scope: scope === null ? null : [...scope],
    requires: requires.map(requirementContent),
    excludes: [...excludes],
  };
}

/** Gives a rule without the parts that its name contains. */
function shown({ enabled, conditions, value, variant }: RuleEntry): JsonValue {
  return { enabled, conditions, value, variant };
}

function compare(
  path: string,
  before: JsonValue | undefined,
  after: JsonValue | undefined,
  found: MemberDifference[],
): void {
  if (before !== undefined && after !== undefined && canonicalJson(before) === canonicalJson(after)) return;
  if (before === undefined || after === undefined || !isJsonObject(before) || !isJsonObject(after)) {
    found.push({ path, before, after });
    return;
  }
  const names = new Set([...Object.keys(before), ...Object.keys(after)].sort());
  for (const name of names) {
    compare(
      `${path}.${name}`,
      Object.hasOwn(before, name) ? before[name] : undefined,
      Object.hasOwn(after, name) ? after[name] : undefined,
      found,
    );
  }
}

/** The most items of a list of texts that are shown by name; the others are only counted. */
const NAMED_ITEMS = 10;
/** The most characters of a value that are shown. */
const SHOWN_LENGTH = 200;

/** Describes a member's difference in one line, for people: `enabled: false → true`. */
export function describeMember({ path, before, after }: MemberDifference): string {
  if (isTexts(before) && isTexts(after)) {
    const [removed, added] = [without(before, after), without(after, before)];
    const parts = [
      ...(removed.length > 0 ? [`without ${listed(removed)}`] : []),
      ...(added.length > 0 ? [`with ${listed(added)}`] : []),
    ];
    return `${path}: ${parts.length === 0 ? 'in another order' : parts.join(', ')}`;
  }
  return `${path}: ${written(before)} → ${written(after)}`;
}

function isTexts(value: JsonValue | undefined): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function without(list: readonly string[], others: readonly string[]): string[] {
  const set = new Set(others);
  return list.filter((item) => !set.has(item));
}

function listed(items: readonly string[]): string {
  const named = items
    .slice(0, NAMED_ITEMS)
    .map((item) => written(item))
    .join(' ');
  return items.length > NAMED_ITEMS ? `${named} and ${items.length - NAMED_ITEMS} more` : named;
}

function written(value: JsonValue | undefined): string {
  if (value === undefined) return '(none)';
  const text = canonicalJson(value);
  return text.length > SHOWN_LENGTH ? `${text.slice(0, SHOWN_LENGTH)}… (${text.length} characters)` : text;
}
