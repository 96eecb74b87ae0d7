/**
 * Views of partitions against a naive oracle, over random histories: flags are created, changed, scoped, archived,
 * moved away and brought back, and models are named for the first time.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { OTHER_MODELS, partitionsOf, type Scope } from '../../../../core/partitions/partition.ts';
import { jwsDigest, setDigest } from '../../../../core/wire/vehicle/proof.ts';
import type { Delta } from '../sync-store.ts';
import { advanced, entriesSince, readSnapshot, setOf, snapshotOf, viewOf, writeSnapshot } from './snapshot.ts';

const MODELS = ['A', 'B', 'C', 'D'] as const;
const KEYS = ['a', 'b', 'c', 'd'] as const;
const at = (revision: number) => ({ revision, changedAtMs: revision });

/** One change: a flag gets a scope (null: every vehicle), or leaves the environment (undefined). */
interface Edit {
  readonly key: string;
  readonly scope: Scope | undefined;
  /** Whether the change is read together with the one before. */
  readonly together: boolean;
}

const edits: fc.Arbitrary<Edit[]> = fc.array(
  fc.record({
    key: fc.constantFrom(...KEYS),
    scope: fc.option(fc.option(fc.uniqueArray(fc.constantFrom(...MODELS), { minLength: 1 }), { nil: null, freq: 3 }), {
      nil: undefined,
      freq: 4,
    }),
    together: fc.boolean(),
  }),
  { maxLength: 25 },
);

/** An environment as the database has it, with everything that each revision had. */
class NaiveEnvironment {
  revision = 0;
  readonly named = new Set<string>();
  readonly living = new Map<string, Delta>();
  readonly tombstones = new Map<string, Delta>();
  /** The flags of each partition at each revision, by key. */
  readonly contents: Map<string | null, Map<string, Delta>>[] = [this.#contents()];

  change({ key, scope }: Edit): void {
    const revision = (this.revision += 1);
    const before = this.living.get(key);
    const was = before === undefined ? [] : partitionsOf(before.scope ?? null, this.named);
    for (const model of scope ?? []) this.named.add(model);
    if (scope === undefined) {
      if (before === undefined) return void this.contents.push(this.#contents());
      if (before.scope === null)
        for (const place of this.tombstones.keys()) if (place.endsWith(`\n${key}`)) this.tombstones.delete(place);
      for (const partition of before.scope ?? ['']) this.#bury(partition, key, revision);
      this.living.delete(key);
    } else {
      const now = new Set(partitionsOf(scope, this.named));
      for (const partition of was) if (!now.has(partition)) this.#bury(partition, key, revision);
      this.living.set(key, { key, revision, removed: false, jws: `${key}@${revision}`, scope });
      const whole = this.tombstones.get(`\n${key}`);
      this.tombstones.delete(`\n${key}`);
      for (const partition of [OTHER_MODELS, ...this.named])
        if (now.has(partition)) this.tombstones.delete(`${partition}\n${key}`);
        else if (whole !== undefined) this.#bury(partition, key, whole.revision);
    }
    this.contents.push(this.#contents());
  }

  #bury(partition: string, key: string, revision: number): void {
    const jws = `${key}@${revision} left ${partition}`;
    this.tombstones.set(`${partition}\n${key}`, { key, revision, removed: true, jws, partition });
  }

  #contents() {
    const partitions = [null, OTHER_MODELS, ...MODELS];
    return new Map(
      partitions.map((partition) => [
        partition,
        new Map(
          [...this.living].filter(
            ([, { scope = null }]) => partition === null || scope === null || scope.includes(partition),
          ),
        ),
      ]),
    );
  }

  since(revision: number): Delta[] {
    return [...this.living.values(), ...this.tombstones.values()]
      .filter((entry) => entry.revision > revision)
      .sort((a, b) => a.revision - b.revision);
  }
}

const sorted = (flags: ReadonlyMap<string, Delta>) => [...flags.values()].sort((a, b) => a.revision - b.revision);

/** The partitions that exist at a moment: vehicles of a model that no scope has named share one. */
const existing = (named: ReadonlySet<string>) => [null, OTHER_MODELS, ...named];

describe('the views of a snapshot', () => {
  test('bring a vehicle that was in a partition at any revision up to date, by whichever steps they were read', () => {
    fc.assert(
      fc.property(edits, (history) => {
        const database = new NaiveEnvironment();
        let snapshot = snapshotOf('staging', at(0), []);
        /** The revision at which each partition began; those before belong to the partition of other models. */
        const began = new Map<string | null, number>([
          [null, 0],
          [OTHER_MODELS, 0],
        ]);
        history.forEach((edit, index) => {
          const from = snapshot.position.revision;
          database.change(edit);
          for (const model of database.named) if (!began.has(model)) began.set(model, database.revision);
          if (history[index + 1]?.together === true) return;
          for (const partition of existing(snapshot.named)) viewOf(snapshot, partition);
          snapshot = advanced(snapshot, at(database.revision), database.since(from), new Set(database.named));
          const read = snapshotOf('staging', at(database.revision), database.since(0), new Set(database.named));
          for (const partition of existing(snapshot.named)) {
            const view = viewOf(snapshot, partition);
            const present = database.contents.at(-1)?.get(partition) ?? new Map<string, Delta>();
            expect(view.definitions.all).toEqual(sorted(present));
            expect(viewOf(read, partition).definitions.all).toEqual(view.definitions.all);
            expect(setOf(view)).toBe(
              setDigest(sorted(present).map(({ key, revision, jws }) => ({ key, revision, digest: jwsDigest(jws) }))),
            );
            const removed = view.entries.all.filter((entry) => entry.removed);
            expect(removed.filter(({ key }) => present.has(key))).toEqual([]);
            for (const tombstone of removed)
              if (partition !== null) expect(['', partition]).toContain(tombstone.partition);
            for (let since = began.get(partition) ?? 0; since <= database.revision; since++)
              for (const one of [snapshot, read]) {
                const held = new Map(database.contents[since]?.get(partition));
                for (const entry of entriesSince(one, viewOf(one, partition), since, true) ?? [])
                  if (entry.removed) held.delete(entry.key);
                  else held.set(entry.key, entry);
                expect(sorted(held)).toEqual(sorted(present));
              }
          }
        });
      }),
      { numRuns: 80 },
    );
  });

  test('stay the same object, with its digest, where a change does not concern the partition', () => {
    fc.assert(
      fc.property(edits, (history) => {
        const database = new NaiveEnvironment();
        let snapshot = snapshotOf('staging', at(0), []);
        for (const edit of history) {
          const before = new Map(existing(snapshot.named).map((partition) => [partition, viewOf(snapshot, partition)]));
          const from = database.revision;
          database.change(edit);
          snapshot = advanced(snapshot, at(database.revision), database.since(from), new Set(database.named));
          for (const [partition, view] of before) {
            const [was, is] = [database.contents.at(-2)?.get(partition), database.contents.at(-1)?.get(partition)];
            if (was?.get(edit.key) === is?.get(edit.key) && edit.scope !== undefined)
              expect(viewOf(snapshot, partition)).toBe(view);
            else if (was?.get(edit.key) !== is?.get(edit.key)) expect(viewOf(snapshot, partition)).not.toBe(view);
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  test('are the same after the snapshot was stored and read', () => {
    fc.assert(
      fc.property(edits, (history) => {
        const database = new NaiveEnvironment();
        for (const edit of history) database.change(edit);
        const position = at(database.revision);
        const snapshot = snapshotOf('staging', position, database.since(0), database.named);
        const kept = readSnapshot(writeSnapshot(snapshot) ?? '', 'staging', position);
        expect(kept).toEqual(snapshot);
      }),
    );
  });
});
