import { concerns } from '../trust/binding.ts';
import type { VerifiedFlag } from '../trust/verification.ts';

/** The place of a change in the order of changes. */
export interface ChangePlace {
  readonly revision: number;
  /** The revision of the change before it that concerned the same vehicles. */
  readonly previousRevision: number;
}

/** Says whether a change between `revision` and the last of `changes` is missing. */
export function hasGap(changes: readonly ChangePlace[], revision: number): boolean {
  let reached = revision;
  for (const change of [...changes].sort((a, b) => a.revision - b.revision)) {
    if (change.revision > reached && change.previousRevision > reached) return true;
    reached = Math.max(reached, change.revision);
  }
  return false;
}

/** Holds verified changes of the stream until their set is complete. */
export class StagedChanges {
  #changes: (ChangePlace & { readonly flag: VerifiedFlag })[] = [];

  add(flag: VerifiedFlag, previousRevision: number): void {
    this.#changes.push({ flag, revision: flag.revision, previousRevision });
  }

  /** Drops the changes that the set of `revision` contains. */
  dropUpTo(revision: number): void {
    this.#changes = this.#changes.filter((change) => change.revision > revision);
  }

  /** Drops the changes that do not concern the vehicles of a partition. */
  keepOnly(partition: string | null): void {
    this.#changes = this.#changes.filter(({ flag }) => concerns(flag, partition));
  }

  clear(): void {
    this.#changes = [];
  }

  get size(): number {
    return this.#changes.length;
  }

  /** Gives the staged changes and `others`, in the order of their revisions. */
  with(others: readonly VerifiedFlag[] = []): VerifiedFlag[] {
    return [...this.#changes.map(({ flag }) => flag), ...others].sort((a, b) => a.revision - b.revision);
  }

  hasGapBeyond(revision: number): boolean {
    return hasGap(this.#changes, revision);
  }
}
