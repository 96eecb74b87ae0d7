/**
 * A control plane in virtual time: a database, and instances that follow it by announcements and polls. What is sent to
 * vehicles is made by the product's own snapshots and signatures.
 */
import type { FlagDefinition } from '../../core/model.ts';
import { OTHER_MODELS } from '../../core/partitions/partition.ts';
import { generateSigningKey, createSigner, type Signer } from '../../subgraphs/flags/signing/signing.ts';
import {
  advanced,
  entriesSince,
  setOf,
  snapshotOf,
  viewOf,
  type EnvironmentSnapshot,
} from '../../subgraphs/flags/sync/snapshots/snapshot.ts';
import type { Delta } from '../../subgraphs/flags/sync/sync-store.ts';
import type { VirtualWorld } from './virtual-time.ts';

const ENVIRONMENT = 'production';
const POLL_MS = 1_000;

/** An event of the stream as it is sent. */
export interface SentChange {
  readonly environment: 'PRODUCTION';
  readonly revision: number;
  readonly previousRevision: number;
  readonly signed: Delta;
  readonly proof: string;
}

/** Makes the signer of all schedules; its first signature prepares the key. */
export async function preparedSigner(): Promise<Signer> {
  const signer = await createSigner(await generateSigningKey());
  await signer.tombstone(ENVIRONMENT, 'first', 0);
  return signer;
}

/** The tables: every change is one transaction. */
export class SimulatedDatabase {
  revision = 0;
  /** The signed definitions that lived at each revision. */
  readonly sets = new Map<number, ReadonlyMap<string, string>>([[0, new Map()]]);
  /** The Unix seconds at which each revision but the present one was left. */
  readonly leftAt = new Map<number, number>();
  #entries: readonly Delta[] = [];
  readonly #watchers = new Set<() => void>();

  constructor(private readonly signer: Signer) {}

  /** Calls `watcher` after each commit. */
  watch(watcher: () => void): void {
    this.#watchers.add(watcher);
  }

  /** Changes a flag; null removes it. */
  async put(key: string, definition: Omit<FlagDefinition, 'key' | 'environment' | 'revision'> | null): Promise<void> {
    const revision = this.revision + 1;
    const jws =
      definition === null
        ? await this.signer.tombstone(ENVIRONMENT, key, revision)
        : await this.signer.definition({ ...definition, key, environment: ENVIRONMENT, revision });
    this.leftAt.set(this.revision, Math.floor(Date.now() / 1_000));
    this.revision = revision;
    this.#entries = [
      ...this.#entries.filter((entry) => entry.key !== key),
      { key, revision, removed: definition === null, jws },
    ];
    const living = this.#entries.filter(({ removed }) => !removed);
    this.sets.set(revision, new Map(living.map((entry) => [entry.key, entry.jws])));
    for (const watcher of this.#watchers) watcher();
  }

  get keys(): string[] {
    return [...this.sets.get(this.revision)!.keys()];
  }

  since(revision: number): readonly Delta[] {
    return this.#entries.filter((entry) => entry.revision > revision);
  }
}

/** One instance of the flags subgraph. */
export class SimulatedInstance {
  isUp = true;
  /** Whether it reaches the database. */
  isReaching = true;
  #snapshot: EnvironmentSnapshot | null = null;
  #verifiedAt = 0;
  #sent = 0;
  #looks: Promise<unknown> = Promise.resolve();
  readonly #streams = new Set<{ readonly push: (change: SentChange) => void; readonly end: () => void }>();
  #life = 0;

  constructor(
    private readonly world: VirtualWorld,
    private readonly database: SimulatedDatabase,
    private readonly signer: Signer,
  ) {}

  crash(): void {
    this.isUp = false;
    this.#life += 1;
    this.#snapshot = null;
    for (const { end } of this.#streams) end();
    this.#streams.clear();
  }

  async start(): Promise<void> {
    const life = (this.#life += 1);
    while (life === this.#life) {
      try {
        await this.#look();
        break;
      } catch {
        await this.world.wait(500);
      }
    }
    if (life !== this.#life) return;
    this.#sent = this.#snapshot!.position.revision;
    this.isUp = true;
    // A poll finds the changes that were committed since.
    void this.poll();
  }

  /** Reads what has changed; one read after the other. Rejects where the database is not reached. */
  #look(): Promise<void> {
    const life = this.#life;
    const look = this.#looks.then(async () => {
      const { world, database } = this;
      await world.wait(world.random.whole(1, 15));
      if (!this.isReaching) throw new Error('The database is down.');
      const from = this.#snapshot;
      const position = { revision: database.revision, changedAtMs: 0 };
      const changes = database.since(from?.position.revision ?? 0);
      const readAt = Math.floor(Date.now() / 1_000);
      await world.wait(world.random.whole(0, 10));
      if (life !== this.#life) throw new Error('The instance has ended.');
      this.#snapshot = from === null ? snapshotOf(ENVIRONMENT, position, changes) : advanced(from, position, changes);
      this.#verifiedAt = readAt;
    });
    this.#looks = look.catch(() => undefined);
    return look;
  }

  /** Reads, and sends what is new, until that succeeds. */
  async poll(): Promise<void> {
    const life = this.#life;
    for (;;) {
      if (!this.isUp || life !== this.#life) return;
      try {
        await this.#look();
        return await this.#send(life);
      } catch {
        await this.world.wait(POLL_MS);
      }
    }
  }

  async #send(life: number): Promise<void> {
    const snapshot = this.#snapshot!;
    const since = this.#sent;
    if (snapshot.position.revision <= since) return;
    this.#sent = snapshot.position.revision;
    const proof = await this.#proof(snapshot, null);
    if (life !== this.#life) return;
    let previousRevision = since;
    for (const signed of entriesSince(snapshot, viewOf(snapshot, null), since, true) ?? []) {
      const { revision } = signed;
      for (const { push } of this.#streams)
        push({ environment: 'PRODUCTION', revision, previousRevision, signed, proof });
      previousRevision = revision;
    }
  }

  /** Signs the proof of the partition that all vehicles share; with a nonce, it assigns that to the vehicle. */
  #proof(
    snapshot: EnvironmentSnapshot,
    asked: { readonly vin: string; readonly nonce: string } | null,
  ): Promise<string> {
    const { revision } = snapshot.position;
    return this.signer.proof({
      environment: ENVIRONMENT,
      partition: OTHER_MODELS,
      revision,
      set: setOf(viewOf(snapshot, null)),
      issuedAt: this.#verifiedAt,
      ...asked,
    });
  }

  /** Streams changes until the returned function is called. */
  follow(push: (change: SentChange) => void, end: () => void): () => void {
    const stream = { push, end };
    this.#streams.add(stream);
    return () => this.#streams.delete(stream);
  }

  /** Answers a sync: by a read that begins now, or as last known where the database is down. */
  async sync(vin: string, since: number, nonce: string | null): Promise<object> {
    const life = this.#life;
    try {
      await this.#look();
    } catch (error) {
      if (nonce !== null || since > (this.#snapshot?.position.revision ?? -1) || life !== this.#life) throw error;
    }
    const snapshot = this.#snapshot!;
    const { revision } = snapshot.position;
    const from = since > revision ? 0 : since;
    const flags = entriesSince(snapshot, viewOf(snapshot, null), from, from > 0) ?? this.database.since(from);
    const proof = await this.#proof(snapshot, nonce === null ? null : { vin, nonce });
    return { environment: 'PRODUCTION', revision, full: from === 0, flags, proof };
  }

  async proof(): Promise<string> {
    await this.#look().catch(() => undefined);
    if (this.#snapshot === null) throw new Error('Nothing is known.');
    return this.#proof(this.#snapshot, null);
  }
}
