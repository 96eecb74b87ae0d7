/**
 * The entries of a snapshot by the keys of their flags. One such table goes from each snapshot over to the next, so
 * that a change finds what it replaces without a search.
 */
import type { Delta } from '../sync-store.ts';
import type { EnvironmentSnapshot } from './snapshot.ts';

/** The definitions and tombstones of flags. */
interface EntriesOfFlags {
  readonly definitions: readonly Delta[];
  readonly tombstones: readonly Delta[];
}

class EntriesByKey {
  /** The entries of each flag, ascending by revision. */
  readonly #entries = new Map<string, readonly Delta[]>();

  of(keys: Iterable<string>): EntriesOfFlags {
    const entries = Array.from(keys, (key) => this.#entries.get(key) ?? []).flat();
    return {
      definitions: entries.filter(({ removed }) => !removed),
      tombstones: entries.filter(({ removed }) => removed),
    };
  }

  add(entries: Iterable<Delta>): void {
    for (const entry of entries) this.#entries.set(entry.key, [...(this.#entries.get(entry.key) ?? []), entry]);
  }

  remove(entries: Iterable<Delta>): void {
    for (const entry of entries) {
      const others = (this.#entries.get(entry.key) ?? []).filter((other) => other !== entry);
      if (others.length > 0) this.#entries.set(entry.key, others);
      else this.#entries.delete(entry.key);
    }
  }
}

/** The tables of the snapshots that are the newest of their environment. */
export const entriesByKey = new WeakMap<EnvironmentSnapshot, EntriesByKey>();

/** Gives the table of a snapshot to the one that follows it; a snapshot that two others follow makes a second one. */
export function takeEntries(snapshot: EnvironmentSnapshot): EntriesByKey {
  let entries = entriesByKey.get(snapshot);
  entriesByKey.delete(snapshot);
  if (entries === undefined) {
    entries = new EntriesByKey();
    entries.add(snapshot.definitions);
    entries.add(snapshot.tombstones);
  }
  return entries;
}
