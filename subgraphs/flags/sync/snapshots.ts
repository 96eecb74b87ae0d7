/**
 * The environments' snapshots on this instance, always compared with the database before they are answered from.
 * What that costs does not depend on who asks: one statement for all who ask at the same time.
 * Reasons: docs/decisions/sync-cache.md.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { unattended } from '../../../core/async/unattended.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import type { Environment, FlagDefinition } from '../../../core/model.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { TimeoutError, withTimeout } from '../../../core/async/timeout.ts';
import type { KeyValueStore } from '../../shared/stores/key-value-store.ts';
import { ComparedClock } from './compared-clock.ts';
import type { SignedDefinition } from './evaluation.ts';
import type { Standing } from '../signing/position-signatures.ts';
import { definitionIn } from '../signing/signing.ts';
import {
  advanced,
  entriesSince,
  readSnapshot,
  samePosition,
  setOf,
  snapshotOf,
  writeSnapshot,
  type EnvironmentSnapshot,
} from './snapshot.ts';
import { changesSince, currentPositions, livingSet, type Delta, type Position } from './sync-store.ts';

/** Milliseconds from the start of one look to the next at least, for each who was answered by the one. */
const LOOK_PACE = 10;
/** Milliseconds that this amounts to at most: 10 small statements a second when a crowd asks. */
const CROWD_PACE = 100;
/** Milliseconds that a caller waits for a database that does not answer, if it can be answered from a snapshot. */
const PATIENCE = 1_000;
/** Milliseconds that a change of an environment may be followed by others before its snapshot is stored. */
const STORE_DELAY = 1_000;
/** Seconds that a stored snapshot is kept. */
const STORE_TTL = 86_400;
/**
 * Milliseconds that a caller waits for a database that does not answer, if only a look that began after its question
 * can answer it.
 */
const FRESH_PATIENCE = 5_000;
/** Seconds after which to come again where the database did not answer; who is told adds to it at random. */
const FRESH_RETRY = 10;

export interface SnapshotsOptions {
  readonly prisma: PrismaClient;
  /** Where a starting instance finds what another has read. */
  readonly store: KeyValueStore;
  readonly logger: Logger;
}

/** What an environment has changed, and where it stands with that. */
export interface Changes extends Standing {
  readonly deltas: readonly Delta[];
}

/** The key of a stored snapshot. */
export const storedUnder = (environment: Environment, revision: number) => `snapshot:${environment}:${revision}`;

export class EnvironmentSnapshots {
  readonly #held = new Map<Environment, { snapshot: EnvironmentSnapshot; verifiedAt: number }>();
  /** Environments that somebody has asked for: the others are not worth their memory. */
  readonly #wanted = new Set<Environment>();
  readonly #definitions = new WeakMap<Delta, FlagDefinition>();
  readonly #storing = new Map<Environment, NodeJS.Timeout>();
  readonly #stored = new Map<Environment, string>();
  #waiting: Promise<Map<Environment, Position>> | undefined;
  #running: Promise<unknown> = Promise.resolve();
  #lastStart = -Infinity;
  /** Who wait for the next look, and who were answered by the last. */
  #asking = 0;
  #answered = 0;
  readonly #clock: ComparedClock;
  /** Set where the database was away: what comes back may be a restored one, with another history. */
  #doubt = false;

  constructor(private readonly options: SnapshotsOptions) {
    this.#clock = new ComparedClock(options.logger);
  }

  /** Ends what waits to be stored. */
  close(): void {
    for (const timer of this.#storing.values()) clearTimeout(timer);
    this.#storing.clear();
  }

  /**
   * Where the environments stand, by a read that begins after this call; the snapshots then stand there, too.
   * Rejects when the database cannot be read.
   */
  refresh(): Promise<Map<Environment, Position>> {
    this.#asking += 1;
    return (this.#waiting ??= this.#lookNext());
  }

  async #lookNext(): Promise<Map<Environment, Position>> {
    await this.#running.catch(() => undefined);
    const wait = this.#lastStart + Math.min(CROWD_PACE, LOOK_PACE * this.#answered) - performance.now();
    if (wait > 0) await delay(wait);
    // Who calls from here on may have changed something that this look does not see: it gets the next one.
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
    const { positions, readAt } = await currentPositions(this.options.prisma);
    this.#clock.compare(readAt);
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
    return positions;
  }

  async #read(
    environment: Environment,
    position: Position,
    held: EnvironmentSnapshot | undefined,
  ): Promise<EnvironmentSnapshot> {
    const { prisma } = this.options;
    if (held !== undefined && !this.#doubt && position.revision > held.position.revision) {
      const { deltas, set, position: present } = await changesSince(prisma, environment, held.position.revision, true);
      const snapshot = advanced(held, present, deltas);
      // Between two looks a restored database may have come further than it was, on another way.
      if (setOf(snapshot) === set) return snapshot;
    }
    const stored = await this.#readStored(environment, position);
    // Proofs are signed of what it holds, so that nobody who writes to the cache may say what that is.
    if (stored !== null && setOf(stored) === (await livingSet(prisma, environment)).set) return stored;
    const { deltas, position: present } = await changesSince(prisma, environment, 0, true);
    return snapshotOf(environment, present, deltas);
  }

  async #readStored(environment: Environment, position: Position): Promise<EnvironmentSnapshot | null> {
    try {
      const text = await this.options.store.get(storedUnder(environment, position.revision));
      return text === null ? null : readSnapshot(text, environment, position);
    } catch (error) {
      this.options.logger.debug({ err: error }, 'No stored snapshot could be read');
      return null;
    }
  }

  /** One write for changes that follow each other: each is as large as the environment. */
  #storeSoon(environment: Environment): void {
    if (this.#storing.has(environment)) return;
    const timer = setTimeout(() => {
      this.#storing.delete(environment);
      unattended(this.#store(environment), 'Storing a snapshot');
    }, STORE_DELAY);
    this.#storing.set(environment, timer.unref());
  }

  async #store(environment: Environment): Promise<void> {
    const snapshot = this.#held.get(environment)?.snapshot;
    const text = snapshot === undefined ? null : writeSnapshot(snapshot);
    if (snapshot === undefined || text === null) return;
    const key = storedUnder(environment, snapshot.position.revision);
    const former = this.#stored.get(environment);
    try {
      await this.options.store.set(key, text, STORE_TTL);
      this.#stored.set(environment, key);
      if (former !== undefined && former !== key) await this.options.store.delete(former);
    } catch (error) {
      this.options.logger.debug({ err: error }, 'A snapshot was not stored');
    }
  }

  /**
   * What changed in `environment` after `since`, by all that was committed before this call. Where the database does
   * not answer, by what was last known of it.
   *
   * Rejects as the database does where nothing is known, or less than the caller knows: to it, a lower revision
   * means that the control plane has forgotten something.
   */
  async since(environment: Environment, since: number): Promise<Changes> {
    await this.#see(environment, since);
    return this.known(environment, since > this.#revision(environment) ? 0 : since);
  }

  /** Where `environment` stands, by what `since` would tell. */
  async standing(environment: Environment): Promise<Standing> {
    await this.#see(environment, 0);
    return this.known(environment, this.#revision(environment));
  }

  /**
   * The same as `since`, by a look at the database that began after this call, and never by what was known before.
   *
   * @throws SERVICE_UNAVAILABLE with `retryAfter` where the database does not answer within 5 s
   */
  async freshSince(environment: Environment, since: number): Promise<Changes> {
    this.#wanted.add(environment);
    try {
      await withTimeout(FRESH_PATIENCE, 'The database did not answer in time', () => this.refresh());
    } catch (cause) {
      throw new FleetFlagError(
        'SERVICE_UNAVAILABLE',
        'The database is not available, and only it can answer a nonce; a retry is safe.',
        { retryAfter: FRESH_RETRY },
        { cause },
      );
    }
    return this.known(environment, since > this.#revision(environment) ? 0 : since);
  }

  /** Looks at the database; where it does not answer, what is known must reach to `atLeast`. */
  async #see(environment: Environment, atLeast: number): Promise<void> {
    this.#wanted.add(environment);
    try {
      await (this.#held.has(environment)
        ? withTimeout(PATIENCE, 'The database did not answer in time', () => this.refresh())
        : this.refresh());
    } catch (error) {
      if (atLeast <= (this.#held.get(environment)?.snapshot.position.revision ?? -1)) return;
      if (!(error instanceof TimeoutError)) throw error;
      throw new FleetFlagError(
        'SERVICE_UNAVAILABLE',
        'The database is not available; a retry is safe.',
        {},
        { cause: error },
      );
    }
  }

  /**
   * What is known of the changes of `environment` after `since`, without another look.
   *
   * @param tombstones whether to tell of flags that have left; by default not with `since` 0, when there is nothing to
   *   remove
   */
  async known(environment: Environment, since: number, tombstones = since > 0): Promise<Changes> {
    const held = this.#held.get(environment);
    const deltas = held === undefined ? null : entriesSince(held.snapshot, since, tombstones);
    if (held !== undefined && deltas !== null) {
      return {
        environment,
        revision: held.snapshot.position.revision,
        set: setOf(held.snapshot),
        deltas,
        verifiedAt: held.verifiedAt,
      };
    }
    // Of everything, though little of it may be asked for: only the whole says what the environment consists of.
    const { deltas: all, position, set, readAt } = await changesSince(this.options.prisma, environment, 0, true);
    const changed = all.filter(({ revision, removed }) => revision > since && (tombstones || !removed));
    return { environment, revision: position.revision, set, deltas: changed, verifiedAt: Math.floor(readAt / 1_000) };
  }

  /**
   * The definitions that vehicles of `environment` have, by key: by what `since` would tell. Whitelists are digests.
   */
  async definitions(environment: Environment): Promise<readonly SignedDefinition[]> {
    const { deltas } = await this.since(environment, 0);
    const definitions = deltas.map((delta) => {
      let definition = this.#definitions.get(delta);
      if (definition === undefined) this.#definitions.set(delta, (definition = definitionIn(delta.jws)));
      return { definition, jws: delta.jws };
    });
    return definitions.sort((a, b) => (a.definition.key < b.definition.key ? -1 : 1));
  }

  #revision(environment: Environment): number {
    return this.#held.get(environment)?.snapshot.position.revision ?? 0;
  }
}
