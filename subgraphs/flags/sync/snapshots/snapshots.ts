/**
 * The environments' snapshots on this instance, which are compared with the database before each answer. The cost does
 * not grow with the number of callers: all that ask at the same time share one statement. Reasons:
 * docs/decisions/streams/sync-cache.md.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { unattended } from '../../../../core/last-handler/unattended.ts';
import { FleetFlagError } from '../../../../core/errors.ts';
import type { Environment, FlagDefinition } from '../../../../core/model.ts';
import { partitionOf } from '../../../../core/partitions/partition.ts';
import type { PrismaClient } from '../../../../prisma/generated/client.ts';
import { TimeoutError, withTimeout } from '../../../../core/async/timeout.ts';
import type { KeyValueStore } from '../../../shared/stores/key-value-store.ts';
import type { AnswerNotes } from '../../../shared/subgraph/subgraph.ts';
import { ComparedClock } from '../compared-clock.ts';
import type { Definitions, SignedDefinition } from '../evaluation.ts';
import type { VerifiedPosition } from '../../signing/position-signatures.ts';
import { definitionIn } from '../../signing/signing.ts';
import {
  advanced,
  entriesSince,
  readSnapshot,
  samePosition,
  setOf,
  snapshotOf,
  viewOf,
  writeSnapshot,
  type EnvironmentSnapshot,
} from './snapshot.ts';
import type { SnapshotView } from './snapshot-view.ts';
import {
  changesSince,
  currentPositions,
  livingSet,
  type Delta,
  type Position,
  type PositionFollower,
} from '../sync-store.ts';

/** The least milliseconds between the starts of two reads, for each caller that the first one answered. */
const READ_INTERVAL_PER_CALLER_MS = 10;
/** The highest such pace in milliseconds: 10 small statements a second under load. */
const MAX_READ_INTERVAL_MS = 100;
/** The least milliseconds between the starts of two reads while somebody waits for one who is not one of a crowd. */
const URGENT_READ_INTERVAL_MS = 5;
/** Milliseconds that a caller waits for a database that does not answer, when a snapshot can answer it. */
const READ_TIMEOUT_MS = 1_000;
/**
 * Milliseconds between a change of an environment and the storing of its snapshot, in which further changes may follow.
 */
const STORE_DELAY_MS = 1_000;
/** Seconds for which a stored snapshot is kept. */
const STORE_TTL_SECONDS = 86_400;
/**
 * Milliseconds that a caller waits for a database that does not answer, when only a read that began after its request
 * can answer it.
 */
const FRESH_READ_TIMEOUT_MS = 5_000;
/** Seconds in `retryAfter` when the database did not answer; callers add a random part. */
const FRESH_RETRY_AFTER_SECONDS = 10;

/** The dependencies of the snapshots. */
export interface SnapshotsOptions {
  readonly prisma: PrismaClient;
  /** The store in which a starting instance finds the snapshots of others. */
  readonly store: KeyValueStore;
  readonly logger: Logger;
  /** The other cache of the environments, which is brought up to date before a caller gets their positions. */
  readonly follower?: PositionFollower;
}

/** The changes of a partition, and its position after them. */
export interface Changes extends VerifiedPosition {
  readonly deltas: readonly Delta[];
  /** Whether `deltas` is everything, which replaces what the receiver has. */
  readonly full: boolean;
}

/** A snapshot, and when the database last confirmed it. */
export interface VerifiedSnapshot {
  readonly snapshot: EnvironmentSnapshot;
  /** Unix seconds. */
  readonly verifiedAt: number;
}

/** Gives the position of a partition in a snapshot; null for the whole environment. */
export function positionIn({ snapshot, verifiedAt }: VerifiedSnapshot, partition: string | null): VerifiedPosition {
  const { environment, position } = snapshot;
  const view = viewOf(snapshot, partition);
  return { environment, partition, revision: position.revision, set: () => setOf(view), verifiedAt };
}

/** Gives the key of a stored snapshot. */
export const storedUnder = (environment: Environment, revision: number) => `snapshot:${environment}:${revision}`;

/** Answers syncs from memory, checked against the database. */
export class EnvironmentSnapshots {
  readonly #held = new Map<Environment, VerifiedSnapshot>();
  /** The environments that were requested; the others are not worth their memory. */
  readonly #wanted = new Set<Environment>();
  readonly #definitions = new WeakMap<Delta, FlagDefinition>();
  readonly #definitionsOf = new WeakMap<SnapshotView, Definitions>();
  readonly #storing = new Map<Environment, NodeJS.Timeout>();
  readonly #stored = new Map<Environment, string>();
  #waiting: Promise<Map<Environment, Position>> | undefined;
  #running: Promise<unknown> = Promise.resolve();
  #lastStart = -Infinity;
  /** Ends the wait for the next read early; undefined while nothing waits. */
  #hasten: (() => void) | undefined;
  #isHastened = false;
  /** The numbers of callers that wait for the next read, and that the last one answered. */
  #asking = 0;
  #answered = 0;
  readonly #clock: ComparedClock;
  /** Set after the database was down: it may come back as a restored one, with another history. */
  #doubt = false;

  constructor(private readonly options: SnapshotsOptions) {
    this.#clock = new ComparedClock(options.logger);
  }

  /** Cancels pending writes to the store. */
  close(): void {
    for (const timer of this.#storing.values()) clearTimeout(timer);
    this.#storing.clear();
  }

  /**
   * Gives the environments' positions by a read that begins after this call, and brings the snapshots to them. Rejects
   * when the database cannot be read.
   *
   * @param inCrowd whether the caller is one of many that ask alike, such as vehicles that come back: their next read
   * may wait until more of them have asked
   */
  refresh(inCrowd = false): Promise<Map<Environment, Position>> {
    this.#asking += 1;
    if (!inCrowd) {
      this.#isHastened = true;
      this.#hasten?.();
    }
    return (this.#waiting ??= this.#readNext());
  }

  /** Waits until the next read may begin: it depends on who waits for it, and on how many the last one answered. */
  async #pause(): Promise<void> {
    const readIntervalMs = Math.min(MAX_READ_INTERVAL_MS, READ_INTERVAL_PER_CALLER_MS * this.#answered);
    const left = (pace: number) => this.#lastStart + pace - performance.now();
    if (!this.#isHastened && left(readIntervalMs) > 0) {
      const hastened = new Promise<void>((resolve) => (this.#hasten = resolve));
      await Promise.race([hastened, delay(left(readIntervalMs))]);
      this.#hasten = undefined;
    }
    const wait = left(this.#isHastened ? Math.min(URGENT_READ_INTERVAL_MS, readIntervalMs) : 0);
    if (wait > 0) await delay(wait);
    this.#isHastened = false;
  }

  async #readNext(): Promise<Map<Environment, Position>> {
    await this.#running.catch(() => undefined);
    await this.#pause();
    // A caller from here on may have changed something that this read does not see, so it gets the next one.
    const own = this.#waiting;
    this.#waiting = undefined;
    this.#answered = this.#asking;
    this.#asking = 0;
    if (own !== undefined) this.#running = own;
    this.#lastStart = performance.now();
    try {
      const positions = await this.#compare();
      this.#doubt = false;
      return positions;
    } catch (error) {
      this.#doubt = true;
      throw error;
    }
  }

  async #compare(): Promise<Map<Environment, Position>> {
    const catchUp = this.options.follower?.follow();
    const { positions, readAt } = await currentPositions(this.options.prisma);
    this.#clock.compare(readAt);
    await Promise.all([this.#bringTo(positions, readAt), catchUp?.(positions)]);
    return positions;
  }

  async #bringTo(positions: ReadonlyMap<Environment, Position>, readAt: number): Promise<void> {
    for (const environment of this.#wanted) {
      const position = positions.get(environment);
      const held = this.#held.get(environment)?.snapshot;
      if (position === undefined) continue;
      const snapshot =
        held !== undefined && samePosition(held.position, position)
          ? held
          : await this.#read(environment, position, held);
      this.#held.set(environment, { snapshot, verifiedAt: Math.floor(readAt / 1_000) });
      if (snapshot !== held) this.#storeSoon(environment);
    }
  }

  async #read(
    environment: Environment,
    position: Position,
    held: EnvironmentSnapshot | undefined,
  ): Promise<EnvironmentSnapshot> {
    const { prisma } = this.options;
    if (held !== undefined && !this.#doubt && position.revision > held.position.revision) {
      const changes = await changesSince(prisma, environment, held.position.revision, true);
      const snapshot = advanced(held, changes.position, changes.deltas, changes.named);
      // A restored database may have overtaken the former one between two reads, with another history.
      if (snapshot.check === changes.check) return snapshot;
    }
    const stored = await this.#readStored(environment, position);
    // Proofs are signed over the snapshot, so a stored one is compared with the database: a program that can write to
    // the store must not decide what gets signed.
    if (stored !== null) {
      const { set, named } = await livingSet(prisma, environment);
      const isSame = named.length === stored.named.size && named.every((model) => stored.named.has(model));
      if (isSame && setOf(viewOf(stored, null)) === set) return stored;
    }
    const { deltas, position: present, named } = await changesSince(prisma, environment, 0, true);
    return snapshotOf(environment, present, deltas, named);
  }

  async #readStored(environment: Environment, position: Position): Promise<EnvironmentSnapshot | null> {
    try {
      const text = await this.options.store.get(storedUnder(environment, position.revision));
      return text === null ? null : readSnapshot(text, environment, position);
    } catch (error) {
      this.options.logger.debug(
        { err: error, environment },
        'Cannot read the stored snapshot; building one from the database',
      );
      return null;
    }
  }

  /**
   * Stores a snapshot after a delay, so that a series of changes costs one write: each is as large as the environment.
   */
  #storeSoon(environment: Environment): void {
    if (this.#storing.has(environment)) return;
    const timer = setTimeout(() => {
      this.#storing.delete(environment);
      unattended(this.#store(environment), 'Storing a snapshot');
    }, STORE_DELAY_MS);
    this.#storing.set(environment, timer.unref());
  }

  async #store(environment: Environment): Promise<void> {
    const snapshot = this.#held.get(environment)?.snapshot;
    const text = snapshot === undefined ? null : writeSnapshot(snapshot);
    if (snapshot === undefined || text === null) return;
    const key = storedUnder(environment, snapshot.position.revision);
    const former = this.#stored.get(environment);
    try {
      await this.options.store.set(key, text, STORE_TTL_SECONDS);
      this.#stored.set(environment, key);
      if (former !== undefined && former !== key) await this.options.store.delete(former);
    } catch (error) {
      this.options.logger.debug({ err: error, environment }, 'Cannot store a snapshot; keeping it in memory only');
    }
  }

  /**
   * Gives the changes of a partition (null: of the whole environment) after `since`, including everything committed
   * before this call. When the database does not answer, gives what was last known.
   *
   * Rejects with the database's error when nothing is known, or less than the caller has: a lower revision would mean
   * that the control plane has lost changes.
   *
   * @param notes receives whether it is what was last known
   */
  async since(
    environment: Environment,
    partition: string | null,
    since: number,
    notes?: AnswerNotes,
  ): Promise<Changes> {
    await this.#see(environment, since, notes);
    return this.known(environment, partition, since);
  }

  /** Gives the position of a partition, under the same conditions as `since`. */
  async standing(environment: Environment, partition: string | null, notes?: AnswerNotes): Promise<VerifiedPosition> {
    await this.#see(environment, 0, notes);
    return positionIn(await this.current(environment), partition);
  }

  /**
   * Brings the snapshot of `environment` up to date by a read that began after this call.
   *
   * @throws SERVICE_UNAVAILABLE with `retryAfter` when the database does not answer within 5 s
   */
  async renew(environment: Environment): Promise<void> {
    this.#wanted.add(environment);
    try {
      await withTimeout(FRESH_READ_TIMEOUT_MS, 'The database did not answer in time', () => this.refresh(true));
    } catch (cause) {
      throw notFresh(cause);
    }
  }

  /** Reads the database. When it does not answer, the known position must reach `atLeast`. */
  async #see(environment: Environment, atLeast: number, notes?: AnswerNotes): Promise<void> {
    this.#wanted.add(environment);
    try {
      await (this.#held.has(environment)
        ? withTimeout(READ_TIMEOUT_MS, 'The database did not answer in time', () => this.refresh(true))
        : this.refresh(true));
    } catch (error) {
      if (atLeast <= (this.#held.get(environment)?.snapshot.position.revision ?? -1)) {
        if (notes !== undefined) notes.remembered = true;
        return;
      }
      if (!(error instanceof TimeoutError)) throw error;
      throw new FleetFlagError(
        'SERVICE_UNAVAILABLE',
        'The database is not available; a retry is safe.',
        {},
        { cause: error },
      );
    }
  }

  /** Gives the known changes of a partition after `since`, without another read. */
  async known(environment: Environment, partition: string | null, since: number): Promise<Changes> {
    const held = await this.current(environment);
    const { snapshot } = held;
    const from = since > snapshot.position.revision ? 0 : since;
    const view = viewOf(snapshot, partition);
    // A vehicle that needs a tombstone that is no longer held gets everything instead.
    const deltas = from === 0 ? null : entriesSince(snapshot, view, from, true);
    return { ...positionIn(held, partition), deltas: deltas ?? view.definitions.all, full: deltas === null };
  }

  /** Gives the snapshot of `environment` as last read; reads it where nobody has asked for it before. */
  async current(environment: Environment): Promise<VerifiedSnapshot> {
    const held = this.#held.get(environment);
    if (held !== undefined) return held;
    this.want(environment);
    await this.refresh();
    const read = this.#held.get(environment);
    if (read === undefined) throw new Error(`There is no environment ${environment}`);
    return read;
  }

  /** Keeps `environment` in memory from the next read on. */
  want(environment: Environment): void {
    this.#wanted.add(environment);
  }

  /**
   * Gives the living definitions of `environment` by a read that begins after this call; rejects as `refresh`.
   *
   * @param model only those of the vehicles that are registered as this model; null: all
   */
  async definitions(environment: Environment, model: string | null = null): Promise<Definitions> {
    this.#wanted.add(environment);
    await this.refresh();
    const { snapshot } = await this.current(environment);
    return this.#definitionsIn(snapshot, model === null ? null : partitionOf(model, snapshot.named));
  }

  /** Gives the living definitions of `environment` as last read, or null when they were never read. */
  lastDefinitions(environment: Environment): Definitions | null {
    const snapshot = this.#held.get(environment)?.snapshot;
    return snapshot === undefined ? null : this.#definitionsIn(snapshot, null);
  }

  #definitionsIn(snapshot: EnvironmentSnapshot, partition: string | null): Definitions {
    const view = viewOf(snapshot, partition);
    let definitions = this.#definitionsOf.get(view);
    if (definitions === undefined) {
      definitions = { revision: snapshot.position.revision, definitions: this.#parsed(view.definitions.all) };
      this.#definitionsOf.set(view, definitions);
    }
    return definitions;
  }

  #parsed(deltas: readonly Delta[]): SignedDefinition[] {
    const definitions = deltas.map((delta) => {
      let definition = this.#definitions.get(delta);
      if (definition === undefined) this.#definitions.set(delta, (definition = definitionIn(delta.jws)));
      return { definition, jws: delta.jws };
    });
    return definitions.sort((a, b) => (a.definition.key < b.definition.key ? -1 : 1));
  }
}

/** The refusal of a caller whose question only a read that began after it could answer. */
export function notFresh(cause: unknown): FleetFlagError {
  return new FleetFlagError(
    'SERVICE_UNAVAILABLE',
    'The database is not available, and a nonce requires it; a retry is safe.',
    { retryAfter: FRESH_RETRY_AFTER_SECONDS },
    { cause },
  );
}
