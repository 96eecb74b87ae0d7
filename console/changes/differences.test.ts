import { describe, expect, test } from '@jest/globals';
import { en } from '../words/en.ts';
import { formatsOf } from '../words/formats.ts';
import { ko } from '../words/ko.ts';
import { differencesOf } from './differences.ts';

const english = { words: en, formats: formatsOf('en-GB', 'UTC') };
const korean = { words: ko, formats: formatsOf('ko-KR', 'UTC') };

const rule = (more: object) => ({
  id: 'r1',
  type: 'percentage_rollout',
  priority: 100,
  enabled: true,
  conditions: { rollout_percentage: 5, regions: ['KR'] },
  value: null,
  variant: null,
  ...more,
});
const flag = (more: object) => ({
  key: 'lane_keep',
  enabled: false,
  safetyLevel: 'ASIL-B',
  defaultValue: 'eco',
  rules: [],
  ...more,
});

describe('a difference', () => {
  test('names each part that changes, and no other', () => {
    expect(
      differencesOf(flag({}), flag({ enabled: true, safetyLevel: 'ASIL-D', defaultValue: 'sport' }), english),
    ).toEqual([
      { part: 'On', before: 'no', after: 'yes' },
      { part: 'Safety level', before: 'ASIL-B', after: 'ASIL-D' },
      { part: 'Default value', before: '"eco"', after: '"sport"' },
    ]);
    expect(differencesOf(flag({}), flag({}), english)).toEqual([]);
  });

  test('says whom a segment selects as sentences, comparisons and tags as well', () => {
    const segment = (conditions: object) => ({ key: 'test_fleet', name: 'Test fleet', conditions });
    const before = segment({ regions: ['EU'] });
    const after = segment({
      ...{ models: ['EV9'], tags: ['beta'], vins: ['KMHK281HGNU000001'] },
      all: [{ attribute: 'plan', operator: 'eq', values: ['premium'] }],
    });
    expect(differencesOf(before, after, english)).toEqual([
      {
        part: 'Who belongs to it',
        before: 'Vehicles with region EU.',
        after:
          'Vehicles with model EV9. Where plan is "premium". 1 vehicle: KMHK281HGNU000001. Vehicles with the tag beta.',
      },
    ]);
    expect(differencesOf(null, before, english)).toContainEqual({
      ...{ part: 'Who belongs to it', before: null, after: 'Vehicles with region EU.' },
    });
    expect(differencesOf(null, before, korean).map(({ part }) => part)).toContain(ko.segment.audience);
  });

  test('says the conditions of a rule as a sentence, in the language of the reader', () => {
    const [before, after] = [
      rule({}),
      rule({ conditions: { rollout_percentage: 12.5, regions: ['KR'] }, enabled: false }),
    ];
    expect(differencesOf(before, after, english)).toEqual([
      { part: 'Share of the fleet (priority 100): On', before: 'yes', after: 'no' },
      {
        part: 'Share of the fleet (priority 100)',
        before: '5% of the vehicles with region KR.',
        after: '12.5% of the vehicles with region KR.',
      },
    ]);
    expect(differencesOf(before, after, korean)[1]).toEqual({
      part: '차량 비율 (우선순위 100)',
      before: '대상 차량(지역 KR)의 5%.',
      after: '대상 차량(지역 KR)의 12.5%.',
    });
  });

  test('names a rule that comes or goes as a whole, within a flag as well', () => {
    const whole = 'Share of the fleet (priority 100)';
    const text = '5% of the vehicles with region KR.';
    expect(differencesOf(null, rule({}), english)).toEqual([{ part: whole, before: null, after: text }]);
    expect(differencesOf(flag({ rules: [rule({})] }), flag({}), english)).toEqual([
      { part: whole, before: text, after: null },
    ]);
  });

  test('of a request is that of what it proposes', () => {
    const after = { changeRequest: 'c1', action: 'UPDATE_FLAG', proposed: flag({ enabled: true }) };
    expect(differencesOf(flag({}), after, english)).toEqual([{ part: 'On', before: 'no', after: 'yes' }]);
  });

  test('shows members that it does not know as they are', () => {
    expect(differencesOf(null, { novel: { a: 1 }, reason: 'INC-1' }, english)).toEqual([
      { part: 'novel', before: null, after: '{"a":1}' },
      { part: 'Reason', before: null, after: 'INC-1' },
    ]);
    expect(differencesOf(null, null, english)).toEqual([]);
    expect(differencesOf('text', 3, english)).toEqual([]);
  });
});
