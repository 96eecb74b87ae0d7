import { describe, expect, test } from '@jest/globals';
import type { JsonObject } from '../../../core/model.ts';
import { proposedContent, segmentsOfChange } from './proposed-content.ts';

const rule = {
  ...{ id: 'r', type: 'vehicle_target', priority: 1, enabled: true, value: true, variant: 'on' },
  conditions: { segment: 'testers' },
};
const proposed: JsonObject = { key: 'a', enabled: true, rules: [rule] };
const stored = { ...proposed, segments: { testers: { tags: ['old'] } } };
const segments = new Map([['testers', { conditions: { models: ['EV9'] }, tagged: null }]]);

describe('the content that a change request proposes', () => {
  test('has what its segments say now, and not what they said when it was made', () => {
    expect(segmentsOfChange({ proposed: stored })).toEqual(['testers']);
    expect(proposedContent({ proposed: stored }, segments)).toEqual({
      ...proposed,
      rules: [{ ...rule, conditions: { models: ['EV9'] } }],
    });
  });

  test('is none where the request archives the flag', () => {
    expect(segmentsOfChange({ proposed: { ...stored, archived: true } })).toEqual([]);
    expect(proposedContent({ proposed: { ...stored, archived: true } }, segments)).toBeNull();
  });

  test('is refused where the request is damaged, so that no reviewer is shown that no vehicle would have the flag', () => {
    const others: JsonObject = { key: 'a', enabled: true };
    for (const rules of [undefined, null, 'x', [null], [{ ...rule, type: 'other' }], [{ ...rule, priority: '1' }]]) {
      const damaged = { proposed: rules === undefined ? others : { ...others, rules } };
      expect(() => segmentsOfChange(damaged)).toThrow('change_requests.proposed holds no rules of a flag');
      expect(() => proposedContent(damaged, segments)).toThrow('change_requests.proposed holds no rules of a flag');
    }
  });
});
