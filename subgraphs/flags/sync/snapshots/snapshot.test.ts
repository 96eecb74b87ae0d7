import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  MAX_TOMBSTONES,
  advanced,
  entriesSince,
  readSnapshot,
  setOf,
  snapshotOf,
  viewOf,
  writeSnapshot,
  type EnvironmentSnapshot,
} from './snapshot.ts';
import type { Delta } from '../sync-store.ts';

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
              expect(entriesSince(snapshot, viewOf(snapshot, null), since, tombstones)).toEqual(
                oracle(history, since, tombstones),
              );
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  describe('with more tombstones than the limit', () => {
    const history = [
      delta('stays', 1),
      ...Array.from({ length: MAX_TOMBSTONES + 10 }, (_, index) => delta(`gone_${index}`, index + 2, true)),
    ];
    const last = history.length;

    const check = (snapshot: EnvironmentSnapshot) => {
      const whole = viewOf(snapshot, null);
      expect(whole.entries).toHaveLength(MAX_TOMBSTONES + 1);
      expect(snapshot.floor).toBe(11);
      expect(entriesSince(snapshot, whole, 10, true)).toBeNull();
      expect(entriesSince(snapshot, whole, 11, true)).toEqual(oracle(history, 11, true));
      expect(entriesSince(snapshot, whole, 0, false)).toEqual([history[0]]);
    };

    test('drops the oldest, and remembers that it did', () => check(snapshotOf('staging', at(last), history)));

    test('does so by whichever way it was built', () => {
      const half = snapshotOf('staging', at(1_000), history.slice(0, 1_000));
      expect(half.floor).toBe(0);
      check(advanced(half, at(last), history.slice(1_000)));
      const kept = readSnapshot(writeSnapshot(snapshotOf('staging', at(last), history)) ?? '', 'staging', at(last));
      expect(kept).not.toBeNull();
      if (kept !== null) check(kept);
    });
  });

  test('visits as many entries for a change among 5,000 flags as among 50', () => {
    let visited = 0;
    /** An entry that counts how often anything of it is read. */
    const counted = (key: string, revision: number, scope: readonly string[] | null): Delta => {
      const entry: Delta = { ...delta(key, revision), scope };
      return new Proxy(entry, {
        get: (target, name) => {
          visited += 1;
          return Reflect.get(target, name) as unknown;
        },
      });
    };
    const visits = (models: number): number[] => {
      const entries = Array.from({ length: models * 50 }, (_, index) =>
        counted(`flag_${index}`, index + 1, [`Model_${index % models}`]),
      );
      let snapshot = snapshotOf('staging', at(entries.length), entries);
      for (let model = 0; model < models; model++) setOf(viewOf(snapshot, `Model_${model}`));
      viewOf(snapshot, null);
      // The first change after a whole read makes the table of keys.
      snapshot = advanced(snapshot, at(entries.length), []);
      return [0, 1, 2].map((step) => {
        const revision = entries.length + step + 1;
        visited = 0;
        const changed = counted(`flag_${models * step}`, revision, ['Model_0']);
        snapshot = advanced(snapshot, at(revision), [changed]);
        for (const partition of ['Model_0', null])
          expect(entriesSince(snapshot, viewOf(snapshot, partition), revision - 1, true)).toEqual([changed]);
        return visited;
      });
    };
    // A search by halves takes some steps more.
    const few = visits(1);
    visits(100).forEach((many, step) => expect(many).toBeLessThanOrEqual((few[step] ?? 0) + 100));
  });

  test('is restored from its text only for the same point of the same history', () => {
    const snapshot = snapshotOf('staging', at(2), [delta('a', 1), delta('b', 2, true)], new Set(['Model_X']));
    const text = writeSnapshot(snapshot) ?? '';
    expect(readSnapshot(text, 'staging', at(2))).toEqual(snapshot);
    expect(readSnapshot(text, 'production', at(2))).toBeNull();
    expect(readSnapshot(text, 'staging', at(3))).toBeNull();
    expect(readSnapshot(text, 'staging', at(2, 7))).toBeNull();
    for (const broken of ['', 'null', '[]', '{"v":2}', text.slice(0, -1), text.replace('"v":2', '"v":1')])
      expect(readSnapshot(broken, 'staging', at(2))).toBeNull();
  });

  test('that is too large to be stored has no text', () => {
    expect(writeSnapshot(snapshotOf('staging', at(1), [{ ...delta('a', 1), jws: 'x'.repeat(5_000_000) }]))).toBeNull();
  });
});
