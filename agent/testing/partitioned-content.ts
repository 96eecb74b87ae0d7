/** The content of the test control plane: which flags and tombstones each partition has, and since which revision. */
import type { FlagDefinition } from '../../core/model.ts';
import { OTHER_MODELS, isInPartition, partitionOf, partitionsOf } from '../../core/partitions/partition.ts';
import { jwsDigest, setDigest } from '../../core/wire/vehicle/proof.ts';
import type { SignedFlag } from '../link/operations.ts';

/** A flag of the environment, as it is signed. */
export interface PresentFlag {
  readonly definition: FlagDefinition;
  readonly signed: SignedFlag;
}

/** A change at one revision: a definition, and a tombstone for each partition that the flag has left. */
export interface PublishedChange {
  readonly revision: number;
  /** The flag's definition; null where it has left the environment. */
  readonly definition: FlagDefinition | null;
  readonly signed: SignedFlag;
  /** The tombstones of partitions that the flag has left, by partition. */
  readonly left: ReadonlyMap<string, SignedFlag>;
}

/** A change as the vehicles of a partition get it, and the revision of the change before it that concerned them. */
export interface ConcerningChange {
  readonly signed: SignedFlag;
  readonly previousRevision: number;
}

/** Holds the flags and tombstones of all partitions. */
export class PartitionedContent {
  readonly #flags = new Map<string, PresentFlag>();
  /** The tombstones by key, and below it by partition; `''` for all. */
  readonly #tombstones = new Map<string, Map<string, SignedFlag>>();
  /** The models that a scope has ever named. */
  readonly named = new Set<string>();
  /** The last revision that concerned each partition. */
  readonly #concerned = new Map<string, number>();

  /** The present flags, by key. */
  get flags(): ReadonlyMap<string, PresentFlag> {
    return this.#flags;
  }

  /** Gives the partitions that a flag leaves when its scope becomes `scope`. */
  leftBy(key: string, scope: FlagDefinition['scope']): string[] {
    const before = this.#flags.get(key)?.definition.scope;
    if (before === undefined) return [];
    const named = new Set([...this.named, ...(scope ?? [])]);
    return partitionsOf(before, named).filter((partition) => !isInPartition(scope ?? null, partition));
  }

  partitionOf(model: string): string {
    return partitionOf(model, this.named);
  }

  /** Applies a change. Gives what it is for the vehicles of each partition that it concerns. */
  apply(key: string, { revision, definition, signed, left }: PublishedChange): Map<string, ConcerningChange> {
    for (const model of definition?.scope ?? []) {
      if (this.named.has(model)) continue;
      this.named.add(model);
      // Until now its vehicles had what all others have.
      this.#concerned.set(model, this.#concerned.get(OTHER_MODELS) ?? 0);
    }
    const concerned = new Map<string, SignedFlag>(left);
    if (definition === null) {
      const scope = this.#flags.get(key)?.definition.scope ?? null;
      for (const partition of partitionsOf(scope, this.named)) concerned.set(partition, signed);
      this.#flags.delete(key);
      this.#tombstones.set(key, new Map([['', signed]]));
    } else {
      const scope = definition.scope ?? null;
      for (const partition of partitionsOf(scope, this.named)) concerned.set(partition, signed);
      this.#flags.set(key, { definition, signed });
      const tombstones = this.#tombstones.get(key) ?? new Map<string, SignedFlag>();
      for (const [partition, tombstone] of left) tombstones.set(partition, tombstone);
      // A partition that the flag is in again needs no tombstone; those of the others stay.
      const all = tombstones.get('');
      if (all !== undefined && scope !== null)
        for (const partition of partitionsOf(null, this.named))
          if (!isInPartition(scope, partition)) tombstones.set(partition, tombstones.get(partition) ?? all);
      tombstones.delete('');
      for (const partition of tombstones.keys()) if (isInPartition(scope, partition)) tombstones.delete(partition);
      this.#tombstones.set(key, tombstones);
    }
    const changes = new Map<string, ConcerningChange>();
    for (const [partition, each] of concerned) {
      changes.set(partition, { signed: each, previousRevision: this.#concerned.get(partition) ?? 0 });
      this.#concerned.set(partition, revision);
    }
    return changes;
  }

  /** Gives the signed definitions of a partition, by key; null for the whole environment. */
  signedSet(partition: string | null): Map<string, SignedFlag> {
    const mine = [...this.#flags].filter(
      ([, { definition }]) => partition === null || isInPartition(definition.scope ?? null, partition),
    );
    return new Map(mine.map(([key, { signed }]) => [key, signed]));
  }

  /** Gives the digest of the set of a partition. */
  digest(partition: string | null): string {
    const set = [...this.signedSet(partition).values()];
    return setDigest(set.map(({ key, revision, jws }) => ({ key, revision, digest: jwsDigest(jws) })));
  }

  /** Gives what has changed in a partition since a revision; 0 for all flags of it. */
  since(revision: number, partition: string | null): SignedFlag[] {
    const present = [...this.signedSet(partition).values()];
    if (revision === 0) return present;
    const gone = [...this.#tombstones.values()].flatMap((tombstones) =>
      [tombstones.get(''), partition === null ? undefined : tombstones.get(partition)].flatMap((each) => each ?? []),
    );
    return [...present, ...gone].filter((each) => each.revision > revision).sort((a, b) => a.revision - b.revision);
  }

  /** Gives the function that restores the content of `revision`, the present one, as a database is restored. */
  backup(revision: number): () => void {
    const flags = new Map(this.#flags);
    const tombstones = [...this.#tombstones].map(([key, each]) => [key, new Map(each)] as const);
    return () => {
      this.#flags.clear();
      this.#tombstones.clear();
      for (const [key, flag] of flags) this.#flags.set(key, flag);
      for (const [key, each] of tombstones) this.#tombstones.set(key, new Map(each));
      for (const partition of [OTHER_MODELS, ...this.named]) this.#concerned.set(partition, revision);
    };
  }
}
