import { expect, test } from '@jest/globals';
import { withQuery } from '../navigation/paths.ts';
import { FLAG_STATES, choiceMembers, filterOf, orderOf, readChoice } from './flag-filter.ts';

test('a choice survives its way through the address', () => {
  for (const state of FLAG_STATES) {
    const choice = {
      search: 'lane "rain mode"',
      state,
      environment: 'PRODUCTION',
      safetyLevel: 'ASIL_D',
      type: 'JSON',
      order: 'key',
    } as const;
    expect(readChoice(withQuery('', choiceMembers(choice)))).toEqual(choice);
  }
});

test('an address without a choice, or with one that is unknown, shows all flags in use', () => {
  const plain = readChoice('');
  expect(filterOf(plain)).toEqual({});
  expect(orderOf(plain)).toEqual({ field: 'UPDATED_AT', direction: 'DESC' });
  expect(readChoice('?state=novel&environment=MOON&order=size')).toEqual(plain);
});

test('each state is one filter of the API', () => {
  const filters = FLAG_STATES.map((state) => filterOf({ ...readChoice(''), state }));
  expect(filters).toEqual([
    {},
    { enabled: true, killed: false },
    { enabled: false },
    { killed: true },
    { hasRelease: true },
    { releaseHolds: true },
    { hasRollout: true },
    { stale: true },
    { draft: true },
    { archived: true },
  ]);
});
