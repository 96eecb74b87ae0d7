import { expect, test } from '@jest/globals';
import { conditionsOf, mergedSegment, segmentDraftOf } from './segment-draft.ts';

test.each([
  {},
  { models: ['EV9'], sw_version: '>=2.5', regions: ['EU', 'KR'] },
  { tags: ['beta'], vins: ['KMHK281HGNU000001', 'KMHK281HGNU000002'] },
  { all: [{ attribute: 'plan', operator: 'eq', values: ['premium'] }] },
])('the conditions %j are the same after the form', (conditions) => {
  expect(conditionsOf(segmentDraftOf({ name: 'A fleet', conditions }))).toEqual(conditions);
});

test('a text that is no JSON goes to the control plane, which says what is wrong', () => {
  expect(conditionsOf({ ...segmentDraftOf(), comparisons: 'plan' })).toEqual({ all: 'plan' });
});

test('what two people have changed about a segment stays beside each other', () => {
  const draft = (name: string, vins: readonly string[]) => segmentDraftOf({ name, conditions: { vins } });
  const merged = mergedSegment(draft('A', ['V1', 'V2']), draft('A', ['V1', 'V2', 'V3']), draft('B', ['V2', 'V4']));
  expect(merged).toMatchObject({ name: 'B', vins: 'V2\nV4\nV3' });
});
