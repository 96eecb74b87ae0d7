/**
 * Views of an environment: the flags that are in one partition, and a tombstone of each flag that has left it and is
 * not back. Pure.
 */
import { isInPartition } from '../../../../core/partitions/partition.ts';
import type { Delta } from '../sync-store.ts';
import { RevisionList } from './revision-list.ts';

/** The entries of a partition, or of the whole environment. */
export interface SnapshotView {
  /** Definitions and tombstones, ascending by revision, each key once. */
  readonly entries: RevisionList<Delta>;
  /** The definitions among them, which a vehicle without any flags receives. */
  readonly definitions: RevisionList<Delta>;
}

/** Definitions and tombstones of all partitions, each ascending by revision. */
export interface AllEntries {
  readonly definitions: Iterable<Delta>;
  readonly tombstones: Iterable<Delta>;
}

const isLiving = ({ removed }: Delta) => !removed;

/** Gives the entries of `partition` among `all`, ascending by revision. */
function partOf({ definitions, tombstones }: AllEntries, partition: string | null): Delta[] {
  const newest = new Map<string, Delta>();
  for (const entry of tombstones) {
    const { partition: of = '' } = entry;
    // A flag that was in some partitions leaves the environment by leaving those.
    if (
      (partition === null || of === '' || of === partition) &&
      (newest.get(entry.key)?.revision ?? -1) < entry.revision
    )
      newest.set(entry.key, entry);
  }
  // A flag that is in the partition has come back, whatever its tombstones say.
  for (const entry of definitions)
    if (partition === null || isInPartition(entry.scope ?? null, partition)) newest.set(entry.key, entry);
  return [...newest.values()].sort((a, b) => a.revision - b.revision);
}

/** Gives the view of a partition; null is the whole environment, in which every living flag is. */
export function viewOfAll(all: AllEntries, partition: string | null): SnapshotView {
  const entries = partOf(all, partition);
  return { entries: RevisionList.of(entries), definitions: RevisionList.of(entries.filter(isLiving)) };
}

/** The entries of the flags that a step of a snapshot changes, before and after it. */
export interface ChangedEntries {
  readonly before: AllEntries;
  readonly after: AllEntries;
}

/** Gives a view after a step; the same object where the step does not concern the partition. */
export function advancedView(view: SnapshotView, partition: string | null, changed: ChangedEntries): SnapshotView {
  const [before, after] = [partOf(changed.before, partition), partOf(changed.after, partition)];
  const removed = before.filter((entry) => !after.includes(entry));
  const added = after.filter((entry) => !before.includes(entry));
  if (removed.length === 0 && added.length === 0) return view;
  return {
    entries: view.entries.replaced(removed, added),
    definitions: view.definitions.replaced(removed.filter(isLiving), added.filter(isLiving)),
  };
}

/** Says which partitions a step can concern; the whole environment, null, is always concerned. */
export function concernedBy({ before, after }: ChangedEntries): (partition: string | null) => boolean {
  const partitions = new Set<string>();
  let all = false;
  for (const { definitions, tombstones } of [before, after]) {
    for (const { scope = null } of definitions) {
      if (scope === null) all = true;
      else for (const model of scope) partitions.add(model);
    }
    for (const { partition = '' } of tombstones) {
      if (partition === '') all = true;
      else partitions.add(partition);
    }
  }
  return (partition) => partition === null || all || partitions.has(partition);
}
