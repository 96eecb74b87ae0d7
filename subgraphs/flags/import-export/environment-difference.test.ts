import { describe, expect, test } from '@jest/globals';
import { describeMember, differences, pairRules } from './environment-difference.ts';
import type { FlagEntry, RuleEntry } from '../../../core/wire/flag-files/environment-file.ts';

const rule = (over: Partial<RuleEntry> = {}): RuleEntry => ({
  type: 'vehicle_target',
  priority: 100,
  enabled: true,
  conditions: { models: ['A'], regions: ['EU'] },
  value: null,
  variant: null,
  ...over,
});
const flag = (over: Partial<FlagEntry> = {}): FlagEntry => ({
  key: 'a',
  name: 'A',
  description: null,
  type: 'boolean',
  safetyLevel: 'ASIL-B',
  enabled: true,
  defaultValue: false,
  scope: null,
  requires: [],
  valueSchema: null,
  activation: 'IMMEDIATE',
  killActivation: 'IMMEDIATE',
  excludes: [],
  rules: [rule()],
  ...over,
});

const lines = (here: FlagEntry, file: FlagEntry) =>
  differences([here], [file]).flatMap((found) => (found.kind === 'changed' ? found.members.map(describeMember) : []));

test('flags that say the same do not differ, whatever the order of their members', () => {
  expect(
    differences(
      [flag({ type: 'json', defaultValue: { a: 1, b: 2 } })],
      [flag({ type: 'json', defaultValue: { b: 2, a: 1 } })],
    ),
  ).toEqual([]);
});

test('flags that one side lacks are listed in the order of their keys', () => {
  const found = differences([flag({ key: 'z' }), flag({ key: 'm' })], [flag({ key: 'm' }), flag({ key: 'b' })]);
  expect(found.map(({ key, kind }) => [key, kind])).toEqual([
    ['b', 'created'],
    ['z', 'only-here'],
  ]);
});

test('each member that differs is shown with its old and its new value', () => {
  expect(
    lines(
      flag(),
      flag({
        enabled: false,
        description: 'two\nlines',
        rules: [rule({ variant: 'pilot', conditions: { models: ['B', 'A'], sw_version: '>=2' } })],
      }),
    ),
  ).toEqual([
    'description: null → "two\\nlines"',
    'enabled: true → false',
    'rules.vehicle_target@100.conditions.models: with "B"',
    'rules.vehicle_target@100.conditions.regions: ["EU"] → (none)',
    'rules.vehicle_target@100.conditions.sw_version: (none) → ">=2"',
    'rules.vehicle_target@100.variant: null → "pilot"',
  ]);
});

test('a rule of another priority is another rule', () => {
  expect(lines(flag(), flag({ rules: [rule({ priority: 5 })] }))).toEqual([
    'rules.vehicle_target@100: {"conditions":{"models":["A"],"regions":["EU"]},"enabled":true,"value":null,"variant":null} → (none)',
    'rules.vehicle_target@5: (none) → {"conditions":{"models":["A"],"regions":["EU"]},"enabled":true,"value":null,"variant":null}',
  ]);
});

test('long lists and values are shortened to their differences', () => {
  const vins = Array.from({ length: 30 }, (_, index) => `V${index}`);
  const whitelist = (list: string[]) => flag({ rules: [rule({ conditions: { vins: list } })] });
  expect(lines(whitelist(['V0', 'X']), whitelist(vins))).toEqual([
    'rules.vehicle_target@100.conditions.vins: without "X", with "V1" "V2" "V3" "V4" "V5" "V6" "V7" "V8" "V9" "V10" and 19 more',
  ]);
  expect(lines(whitelist(['a', 'b']), whitelist(['b', 'a']))).toEqual([
    'rules.vehicle_target@100.conditions.vins: in another order',
  ]);
  expect(
    lines(flag({ type: 'string', defaultValue: 'x'.repeat(500) }), flag({ type: 'string', defaultValue: 'y' }))[0],
  ).toMatch(/x… \(502 characters\) → "y"$/);
});

describe('rules of a file and existing rules', () => {
  const rule = (priority: number, regions: string[], percentage = 5): RuleEntry => ({
    type: 'percentage_rollout',
    priority,
    enabled: true,
    conditions: { rollout_percentage: percentage, regions },
    value: null,
    variant: null,
  });
  const paired = (present: RuleEntry[], wanted: RuleEntry[]) => {
    const pairs = pairRules(present, wanted);
    return wanted.map((entry) => present.indexOf(pairs.get(entry) as RuleEntry));
  };

  test('are paired when they say the same, at the same place first', () => {
    expect(paired([rule(1, ['EU']), rule(2, ['NA'])], [rule(2, ['EU'], 50), rule(1, ['NA'])])).toEqual([0, 1]);
    expect(paired([rule(1, ['EU']), rule(2, ['EU'])], [rule(2, ['EU']), rule(1, ['EU'])])).toEqual([1, 0]);
  });

  test('are otherwise paired at the same place, unless that rule has moved', () => {
    expect(paired([rule(1, ['EU'])], [rule(1, ['KR'])])).toEqual([0]);
    expect(paired([rule(1, ['EU'])], [rule(1, ['KR']), rule(2, ['EU'])])).toEqual([-1, 0]);
    expect(paired([rule(1, ['EU'])], [{ ...rule(1, ['EU']), type: 'vehicle_target' }])).toEqual([-1]);
  });
});
