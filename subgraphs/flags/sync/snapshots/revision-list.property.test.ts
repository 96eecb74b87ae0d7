import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { rounds } from '../../../../core/testing/rounds.ts';
import { RevisionList } from './revision-list.ts';

interface Entry {
  readonly revision: number;
  readonly id: number;
}

const byRevision = (a: Entry, b: Entry) => a.revision - b.revision;
/** Revisions of which many are the same, as those of tombstones of several partitions. */
const revision = fc.integer({ min: 1, max: 60 });
const step = fc.record({
  removed: fc.array(fc.nat(), { maxLength: 40 }),
  added: fc.array(revision, { maxLength: 60 }),
});

describe('a list by revision', () => {
  test('is what an array would be, after any steps, and those before it stay as they were', () => {
    fc.assert(
      fc.property(fc.array(revision, { maxLength: 400 }), fc.array(step, { maxLength: 12 }), (first, steps) => {
        let id = 0;
        const made = (at: number): Entry => ({ revision: at, id: (id += 1) });
        let array = first.map(made).sort(byRevision);
        let list = RevisionList.of(array);
        for (const { removed, added } of steps) {
          const gone = new Set(removed.flatMap((place) => array[place % Math.max(1, array.length)] ?? []));
          const come = added.map(made);
          const [before, held] = [list, [...list]];
          list = list.replaced([...gone], come);
          expect(before.all).toEqual(held);
          array = [...array.filter((entry) => !gone.has(entry)), ...come].sort(byRevision);
          expect([...list]).toEqual(array);
          expect(list.all).toEqual(array);
          expect(list.length).toBe(array.length);
          for (let at = 0; at <= 61; at += 7) {
            expect(list.after(at)).toEqual(array.filter((entry) => entry.revision > at));
            expect(list.lastUpTo(at)).toBe(array.filter((entry) => entry.revision <= at).at(-1));
            expect(list.first(at)).toEqual(array.slice(0, at));
          }
        }
      }),
      { numRuns: rounds(60, 1_000) },
    );
  });

  test('refuses to be without an entry that it does not have', () => {
    const list = RevisionList.of([{ revision: 1 }, { revision: 2 }]);
    expect(() => list.replaced([{ revision: 2 }], [])).toThrow('not in the list');
    expect(() => list.replaced([{ revision: 3 }], [])).toThrow('not in the list');
  });
});
