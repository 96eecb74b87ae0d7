/**
 * The difference that a change makes, in words: which part, what it was, what it becomes. It reads what the audit log
 * and change requests hold, whose form depends on the action.
 */
import { isMembers, isSameJson, itemsOf, jsonText, membersOf, stringsOf, textAt } from '../json.ts';
import { ruleSentences, segmentSentences } from '../flags/rules/rule-words.ts';
import type { Spoken } from '../words/spoken.ts';

/** One part that differs. Null: there is none on that side. */
export interface Difference {
  readonly part: string;
  readonly before: string | null;
  readonly after: string | null;
}

/** Members that name a thing rather than say something about it. */
const UNTOLD = new Set(['id', 'changeRequest', 'flagId', 'session', 'endsSessions']);

type Wording = Spoken['words'];

const fieldName = (name: string, { fields }: Wording): string => textAt(fields, name) ?? name;

function ruleName(rule: unknown, { ruleTypes, ruleOf }: Wording): string {
  const { type, priority } = membersOf(rule);
  const name = textAt(ruleTypes, String(type).toUpperCase()) ?? String(type);
  return ruleOf(name, typeof priority === 'number' ? String(priority) : null);
}

function valueText(name: string, value: unknown, spoken: Spoken): string | null {
  const { words } = spoken;
  if (value === undefined || value === null) return null;
  if (typeof value === 'boolean' && name !== 'defaultValue' && name !== 'value') return value ? words.yes : words.no;
  if (typeof value === 'string') {
    if (name === 'defaultValue' || name === 'value') return jsonText(value);
    return knownText(name, value, words) ?? value;
  }
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
    ? stringsOf(value).join(', ')
    : jsonText(value);
}

/** Gives the words for the stored spelling of a level, an environment or a type. */
function knownText(name: string, value: string, { levels, environments, types, roles }: Wording): string | null {
  const tables: Readonly<Record<string, Readonly<Record<string, string>> | undefined>> = {
    safetyLevel: levels,
    environment: environments,
    type: types,
    role: roles,
  };
  return textAt(tables[name] ?? {}, value.toUpperCase().replace(/-/g, '_')) ?? null;
}

function ruleText(rule: unknown, spoken: Spoken): string | null {
  if (!isMembers(rule)) return null;
  const { type, conditions, value, enabled } = rule;
  return [
    ...ruleSentences(String(type), conditions, spoken),
    ...(value === null || value === undefined ? [] : [spoken.words.rules.gives(jsonText(value))]),
    ...(enabled === false ? [spoken.words.rules.switchedOff] : []),
  ].join(' ');
}

function rulesDifferences(before: unknown, after: unknown, spoken: Spoken): Difference[] {
  const byId = (rules: unknown) => new Map(itemsOf(rules).map((rule) => [membersOf(rule)['id'], rule]));
  const [was, becomes] = [byId(before), byId(after)];
  return [...new Set([...was.keys(), ...becomes.keys()])].flatMap((id) => {
    const [one, other] = [was.get(id), becomes.get(id)];
    return isSameJson(one, other) ? [] : ruleDifferences(one, other, spoken);
  });
}

/** The words of a rule: one that comes or goes is named as a whole, one that changes by each part that does. */
function ruleDifferences(before: unknown, after: unknown, spoken: Spoken): Difference[] {
  const name = ruleName(before ?? after, spoken.words);
  if (!isMembers(before) || !isMembers(after))
    return [{ part: name, before: ruleText(before, spoken), after: ruleText(after, spoken) }];
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].flatMap((member) => {
    const [was, becomes] = [before[member], after[member]];
    if (UNTOLD.has(member) || isSameJson(was ?? null, becomes ?? null)) return [];
    const text = (rule: typeof before, value: unknown) =>
      member === 'conditions'
        ? ruleSentences(String(rule['type']), value, spoken).join(' ')
        : valueText(member, value, spoken);
    const part = member === 'conditions' ? name : `${name}: ${fieldName(member, spoken.words)}`;
    return [{ part, before: text(before, was), after: text(after, becomes) }];
  });
}

/** Gives the conditions of a segment in words; null where there is no segment. */
const segmentText = (conditions: unknown, spoken: Spoken): string | null =>
  isMembers(conditions) ? segmentSentences(conditions, spoken).join(' ') : null;

const isRule = (value: unknown) => isMembers(value) && 'conditions' in value && 'priority' in value;

/** Gives what differs between the state before a change and after it. */
export function differencesOf(before: unknown, after: unknown, spoken: Spoken): Difference[] {
  // A request holds what it proposes beside its own members.
  const proposed = membersOf(after)['proposed'];
  if (proposed !== undefined) return differencesOf(before, proposed, spoken);
  if (isRule(before) || isRule(after)) return ruleDifferences(before, after, spoken);
  if (!isMembers(before) && !isMembers(after)) return [];
  const [was, becomes] = [membersOf(before), membersOf(after)];
  const names = new Set([...Object.keys(was), ...Object.keys(becomes)]);
  return [...names].flatMap((name): Difference[] => {
    const [one, other] = [was[name], becomes[name]];
    if (UNTOLD.has(name) || isSameJson(one ?? null, other ?? null)) return [];
    if (name === 'rules' || name === 'killSwitches') return rulesDifferences(one, other, spoken);
    if (name === 'conditions')
      return [
        {
          part: spoken.words.segment.audience,
          before: segmentText(one, spoken),
          after: segmentText(other, spoken),
        },
      ];
    return [
      {
        part: fieldName(name, spoken.words),
        before: valueText(name, one, spoken),
        after: valueText(name, other, spoken),
      },
    ];
  });
}
