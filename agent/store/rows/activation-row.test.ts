import { expect, test } from '@jest/globals';
import { heldFlag } from '../../sync/apply.ts';
import { testFlag } from '../../testing/held-flags.ts';
import { storedLatches } from './activation-row.ts';

test('the largest active definitions are left out where there is no room for all', () => {
  const latched = (key: string, jwsLength: number) => {
    const definition = testFlag(key);
    const signed = { definition, digest: '', fault: null, outsideContract: false, settled: false, scope: null };
    return [key, heldFlag(key, { ...signed, revision: 1, jws: 'x'.repeat(jwsLength) }, null, null, 0, 1)] as const;
  };
  const latches = new Map([latched('large', 5_000), ['new', null] as const, latched('b', 300), latched('a', 400)]);
  const { stored, dropped } = storedLatches(latches, 1_000);
  expect([Object.keys(stored), dropped]).toEqual([['new', 'b', 'a'], ['large']]);
  expect(storedLatches(latches).dropped).toEqual([]);
});
