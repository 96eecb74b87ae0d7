import type { VerifiedFlag } from '../trust/verification.ts';

/** What a change says of its place among the others. */
export interface Place {
  readonly revision: number;
  /** Of the change before it. */
  readonly previousRevision: number;
}

/** Whether `changes` do not follow on `revision` without a hole. */
export function hasGap(changes: readonly Place[], revision: number): boolean {
  let reached = revision;
  for (const change of [...changes].sort((a, b) => a.revision - b.revision)) {
    if (change.revision > reached && change.previousRevision > reached) return true;
    reached = Math.max(reached, change.revision);
  }
  return false;
}

/** Verified changes of the stream whose set is not complete. */
export class StagedChanges {
  #changes: (Place & { readonly flag: VerifiedFlag })[] = [];

  add(flag: VerifiedFlag, previousRevision: number): void {
    this.#changes.push({ flag, revision: flag.revision, previousRevision });
  }

  /** Forgets those that a set of `revision` contains. */
  dropUpTo(revision: number): void {
    this.#changes = this.#changes.filter((change) => change.revision > revision);
  }

  clear(): void {
    this.#changes = [];
  }

  get size(): number {
    return this.#changes.length;
  }

  /** These and `others`, in the order of their revisions. */
  with(others: readonly VerifiedFlag[] = []): VerifiedFlag[] {
    return [...this.#changes.map(({ flag }) => flag), ...others].sort((a, b) => a.revision - b.revision);
  }

  hasGapBeyond(revision: number): boolean {
    return hasGap(this.#changes, revision);
  }
}
