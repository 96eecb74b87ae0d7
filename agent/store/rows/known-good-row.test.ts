import { expect, test } from '@jest/globals';
import { NO_RETURNS, type HeldFlag } from '../../state.ts';
import { heldFlag } from '../../sync/apply.ts';
import { testFlag } from '../../testing/held-flags.ts';
import { haveRoom, storedKnownGood } from './known-good-row.ts';

function flagOf(key: string, jwsLength: number): HeldFlag {
  const definition = testFlag(key);
  const signed = { definition, digest: '', fault: null, outsideContract: false, settled: false, scope: null };
  return heldFlag(key, { ...signed, revision: 1, jws: 'x'.repeat(jwsLength) }, null, null, 1_000, 1);
}

const standingOf = (kept: HeldFlag | null) => ({
  ...{ content: 'new', servedSeconds: -1, isWhole: true },
  good: kept && { content: 'old', kept },
});

test('the largest last known goods are left out where there is no room for all, and none is stored twice', () => {
  const same = flagOf('same', 3_000);
  const standings = new Map([
    ['large', standingOf(flagOf('large', 5_000))],
    ['small', standingOf(flagOf('small', 300))],
    ['same', standingOf(same)],
    ['none', standingOf(null)],
  ]);
  const knownGood = { standings, isDriven: false };
  const state = { flags: new Map([['same', same]]), returns: NO_RETURNS };
  const { stored, dropped } = storedKnownGood(knownGood, state, 1_000);
  expect(dropped).toEqual(['large']);
  const trial = { content: 'new', servedSeconds: 0, isWhole: true };
  expect(stored).toEqual({
    isDriven: false,
    returns: {},
    standings: {
      none: { ...trial, good: null },
      same: { ...trial, good: { content: 'old' } },
      small: { ...trial, good: { content: 'old', cachedAt: 1_000, flag: { revision: 1, jws: 'x'.repeat(300) } } },
    },
  });
  expect(storedKnownGood(knownGood, state).dropped).toEqual([]);
  // Returns that are in force come first.
  const at = { content: 'new', cause: 'fatal', at: 1 } as const;
  const returns = new Map([['gone', { ...at, flag: flagOf('gone', 600) }]]);
  expect(storedKnownGood(knownGood, { ...state, returns }, 1_000).dropped).toEqual(['small', 'large']);
  expect([haveRoom(returns, 1_000), haveRoom(returns, 500)]).toEqual([true, false]);
});
