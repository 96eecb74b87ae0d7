import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  MAX_TOMBSTONES,
  advanced,
  entriesSince,
  readSnapshot,
  snapshotOf,
  writeSnapshot,
  type EnvironmentSnapshot,
} from './snapshot.ts';
import type { Delta } from './sync-store.ts';

const at = (revision: number, changedAtMs = revision * 1_000) => ({ revision, changedAtMs });
const delta = (key: string, revision: number, removed = false): Delta => ({
  key,
  revision,
  removed,
  jws: `${key}@${revision}`,
});

/** Computes the changes after `since` from the whole history: the newest entry of each key. */
function oracle(history: readonly Delta[], since: number, tombstones: boolean): Delta[] {
  const newest = new Map(history.map((entry) => [entry.key, entry]));
  return [...newest.values()]
    .filter(({ revision, removed }) => revision > since && (tombstones || !removed))
    .sort((a, b) => a.revision - b.revision);
}

describe('a snapshot', () => {
  test('that is advanced in any steps gives the same changes since any revision as the whole history', () => {
    const steps = fc.array(
      fc.array(fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd', 'e'), removed: fc.boolean() }), { maxLength: 4 }),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(steps, (edits) => {
        let snapshot = snapshotOf('staging', at(0), []);
        const history: Delta[] = [];
        for (const step of edits) {
          const before = history.length;
          for (const { key, removed } of step) history.push(delta(key, history.length + 1, removed));
          snapshot = advanced(snapshot, at(history.length), oracle(history, before, true));
          for (let since = 0; since <= history.length; since++) {
            for (const tombstones of [true, false])
              expect(entriesSince(snapshot, since, tombstones)).toEqual(oracle(history, since, tombstones));
          }
        }
      }),
      { seed: 20_261_123, numRuns: 300 },
    );
  });

  describe('with more tombstones than the limit', () => {
    const history = [
      delta('stays', 1),
      ...Array.from({ length: MAX_TOMBSTONES + 10 }, (_, index) => delta(`gone_${index}`, index + 2, true)),
    ];
    const last = history.length;

    const check = (snapshot: EnvironmentSnapshot) => {
      expect(snapshot.entries).toHaveLength(MAX_TOMBSTONES + 1);
      expect(snapshot.floor).toBe(11);
      expect(entriesSince(snapshot, 10, true)).toBeNull();
      expect(entriesSince(snapshot, 11, true)).toEqual(oracle(history, 11, true));
      expect(entriesSince(snapshot, 0, false)).toEqual([history[0]]);
    };

    test('drops the oldest, and remembers that it did', () => check(snapshotOf('staging', at(last), history)));

    test('does so by whichever way it was built', () => {
      const half = snapshotOf('staging', at(1_000), history.slice(0, 1_000));
      expect(half.floor).toBe(0);
      check(advanced(half, at(last), history.slice(1_000)));
      const kept = readSnapshot(writeSnapshot(snapshotOf('staging', at(last), history)) ?? '', 'staging', at(last));
      check(kept as EnvironmentSnapshot);
    });
  });

  test('is restored from its text only for the same point of the same history', () => {
    const snapshot = snapshotOf('staging', at(2), [delta('a', 1), delta('b', 2, true)]);
    const text = writeSnapshot(snapshot) ?? '';
    expect(readSnapshot(text, 'staging', at(2))).toEqual(snapshot);
    expect(readSnapshot(text, 'production', at(2))).toBeNull();
    expect(readSnapshot(text, 'staging', at(3))).toBeNull();
    expect(readSnapshot(text, 'staging', at(2, 7))).toBeNull();
    for (const broken of ['', 'null', '[]', '{"v":1}', text.slice(0, -1), text.replace('"v":1', '"v":2')])
      expect(readSnapshot(broken, 'staging', at(2))).toBeNull();
  });

  test('that is too large to be stored has no text', () => {
    expect(writeSnapshot(snapshotOf('staging', at(1), [{ ...delta('a', 1), jws: 'x'.repeat(5_000_000) }]))).toBeNull();
  });
});
