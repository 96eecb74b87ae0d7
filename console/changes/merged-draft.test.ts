import { expect, test } from '@jest/globals';
import { mergedDraft } from './merged-draft.ts';

const base = { name: 'Old', conditions: { percentage: '5', models: ['EV9', 'GV60'] }, checks: [{ of: 'plan' }] };

test('what only one of two people has touched is kept, inside of conditions as well', () => {
  const mine = { ...base, conditions: { ...base.conditions, percentage: '25' } };
  const now = { ...base, name: 'New', conditions: { percentage: '5', models: ['EV9'] } };
  expect(mergedDraft(base, mine, now)).toEqual({
    ...{ name: 'New', checks: base.checks },
    conditions: { percentage: '25', models: ['EV9'] },
  });
});

test('names that two people have added to a list or taken from it are added and taken', () => {
  const withModels = (models: string[]) => ({ ...base, conditions: { ...base.conditions, models } });
  expect(mergedDraft(base, withModels(['EV9', 'Ioniq 5']), withModels(['EV9', 'GV60', 'Ioniq 6']))).toEqual(
    withModels(['EV9', 'Ioniq 6', 'Ioniq 5']),
  );
});

test('where both have changed the same, what was typed stays', () => {
  const mine = { ...base, name: 'Mine', checks: [{ of: 'mine' }] };
  expect(mergedDraft(base, mine, { ...base, name: 'Theirs', checks: [{ of: 'theirs' }] })).toEqual(mine);
  expect(mergedDraft(base, base, { ...base, name: 'Theirs' }).name).toBe('Theirs');
});
