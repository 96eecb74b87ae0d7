/**
 * A cache of the living flags as last read, for reads while the database is down. Source: design.md, "What fails, and
 * what then": reads of cached flags go on.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { unattended } from '../../../core/async/unattended.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import { isKilled } from '../../../core/evaluation/evaluate.ts';
import type { Environment } from '../../../core/model.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Bus } from '../../shared/feeds/bus.ts';
import { asServiceError } from '../../shared/postgres/service-error.ts';
import { TimeoutError, withTimeout } from '../../../core/async/timeout.ts';
import { CoalescedRefresh } from '../../../core/async/coalesce.ts';
import { Poller } from '../../../core/async/poller.ts';
import { pageOf, type Page } from '../../shared/subgraph/pagination.ts';
import { FLAGS_CHANGED, type FlagChange, type FlagChanges } from '../changes/change.ts';
import { definitionIn } from '../signing/signing.ts';
import type { Definitions } from '../sync/evaluation.ts';
import type { Flag } from './flag.ts';
import type { FlagFilter, FlagOrder } from '../generated/resolvers.ts';
import { NEWEST_FIRST } from './flag-order.ts';
import { findFlags, type FlagPage } from './flag-store.ts';

/** The polling interval; the longest delay, in milliseconds, after a lost announcement. */
const POLL_INTERVAL_MS = 1_000;
/** The least milliseconds between the starts of two reads: each reads whole environments. */
const LOOK_PACE_MS = 250;
/**
 * Milliseconds after which a read that the cache can answer is answered from it. A database that is only busy gets this
 * long.
 */
const PATIENCE = 5_000;

interface RememberedEnvironment {
  /** The environment row's revision and time when its flags were read. */
  readonly version: readonly [revision: bigint, updatedAt: number];
  readonly flags: readonly Flag[];
}

/** The filters that the cache can apply; only the database can apply others. */
const KNOWN_FILTERS = new Set([
  'environment',
  'enabled',
  'safetyLevel',
  'archived',
  'draft',
  'killed',
  'type',
  'keyPrefix',
]);

/** Reads the living flags of every environment into memory, and keeps them current. */
export class RememberedFlags {
  readonly #environments = new Map<string, RememberedEnvironment>();
  /** Flags that this instance has committed since the last read began, by id. */
  readonly #committed = new Map<string, Flag>();
  readonly #refreshes = new CoalescedRefresh(() => this.#readOrLog());
  readonly #closed = new AbortController();
  #poller: Poller | undefined;
  #unsubscribe: (() => Promise<void>) | undefined;
  #lastStart = -Infinity;
  #failing = false;

  constructor(
    private readonly prisma: PrismaClient,
    private readonly logger: Logger,
  ) {}

  /**
   * Reads the environments and keeps following them: announcements on the bus start a read at once, and a poll covers
   * lost announcements. Resolves after the first read, whether it succeeded or not.
   *
   * @param pollIntervalMs milliseconds between two polls
   */
  async start(bus: Bus, pollIntervalMs = POLL_INTERVAL_MS): Promise<void> {
    await this.#readOrLog();
    const refresh = () => this.#refreshes.refresh();
    this.#unsubscribe = await bus.subscribe(FLAGS_CHANGED, () => unattended(refresh(), 'Refreshing the cached flags'));
    this.#poller = Poller.every(pollIntervalMs, refresh);
    unattended(this.#poller.start(pollIntervalMs), 'Refreshing the cached flags');
  }

  /** Stops following, after a read in progress. */
  async close(): Promise<void> {
    const polled = this.#poller?.close();
    this.#closed.abort();
    await this.#unsubscribe?.();
    await polled;
    await this.#refreshes.close();
  }

  /** Reads the environments that have changed since the last read. Rejects when the database cannot be read. */
  async refresh(): Promise<void> {
    // This read contains what was committed before it, but possibly not what is committed during it.
    const committed = [...this.#committed.values()];
    for (const { name, revision, updatedAt } of await this.prisma.environment.findMany()) {
      const version = [revision, updatedAt.getTime()] as const;
      if (isDeepStrictEqual(this.#environments.get(name)?.version, version)) continue;
      this.#environments.set(name, {
        version,
        flags: await findFlags(this.prisma, { environment: name, archivedAt: null }),
      });
    }
    for (const flag of committed) if (this.#committed.get(flag.id) === flag) this.#committed.delete(flag.id);
  }

  /**
   * Wraps `changes`, so that this instance caches the flags that it creates and edits before the caller has the answer:
   * the database may go down right after it.
   */
  noting(changes: FlagChanges): FlagChanges {
    const note = (change: FlagChange): FlagChange => {
      this.#committed.set(change.flag.id, change.flag);
      return change;
    };
    return {
      ...changes,
      create: async (...args) => note(await changes.create(...args)),
      edit: async (...args) => note(await changes.edit(...args)),
    };
  }

  /**
   * Gives the living flags whose `by` is one of `names`, or null when one is unknown: it may be archived, or not exist.
   */
  named(by: 'id' | 'key', names: readonly string[]): Flag[] | null {
    const found = this.#all().filter((flag) => names.includes(flag[by]));
    return new Set(found.map((flag) => flag[by])).size === new Set(names).size ? found : null;
  }

  /** Gives the definitions of `environment` as cached, or null when none of it was read. */
  definitions(environment: Environment): Definitions | null {
    const read = this.#environments.get(environment);
    if (read === undefined) return null;
    const flags = this.#all().filter((flag) => flag.environment === environment);
    const definitions = flags
      .sort((a, b) => (a.key < b.key ? -1 : 1))
      .map(({ signedDefinition: jws }) => ({ definition: definitionIn(jws), jws }));
    return { revision: Math.max(Number(read.version[0]), ...flags.map(({ revision }) => revision)), definitions };
  }

  /** Gives a page as the database would, or null when only the database can. */
  page(search: FlagFilter, page: Page, order: FlagOrder = NEWEST_FIRST): FlagPage | null {
    // The database's times are more precise than the cached ones, and it orders texts differently; only the order by
    // creation, which needs no more than ids, can be answered here.
    if (order.field !== 'created_at') return null;
    const asked = Object.entries(search).filter(([, value]) => value !== null && value !== undefined && value !== '');
    if (
      this.#environments.size === 0 ||
      search.archived === true ||
      search.draft === true ||
      !asked.every(([name]) => KNOWN_FILTERS.has(name))
    )
      return null;
    const { environment, enabled, safetyLevel, killed, type, keyPrefix } = search;
    const flags = this.#all()
      .filter((flag) => !environment || flag.environment === environment)
      .filter((flag) => typeof enabled !== 'boolean' || flag.enabled === enabled)
      .filter((flag) => !safetyLevel || flag.safetyLevel === safetyLevel)
      .filter((flag) => typeof killed !== 'boolean' || isKilled(flag.rules) === killed)
      .filter((flag) => !type || flag.type === type)
      .filter((flag) => !keyPrefix || flag.key.startsWith(keyPrefix))
      .sort((a, b) => a.createdAt.getTime() - b.createdAt.getTime() || (a.id < b.id ? -1 : 1));
    if ((order.direction === 'asc') === page.backwards) flags.reverse();
    const start = page.cursor === null ? 0 : flags.findIndex(({ id }) => id === page.cursor) + 1;
    if (page.cursor !== null && start === 0) return null;
    const { items, more } = pageOf(flags.slice(start), page);
    return { flags: items, totalCount: flags.length, more, nameOf: ({ id }) => id };
  }

  #all(): Flag[] {
    const read = [...this.#environments.values()].flatMap(({ flags }) => flags);
    return [
      ...read.filter(({ id }) => !this.#committed.has(id)),
      ...[...this.#committed.values()].filter(({ archivedAt, draft }) => archivedAt === null && !draft),
    ];
  }

  async #readOrLog(): Promise<void> {
    try {
      const wait = this.#lastStart + LOOK_PACE_MS - performance.now();
      if (wait > 0) await delay(wait, undefined, { signal: this.#closed.signal });
      this.#lastStart = performance.now();
      await this.refresh();
      this.#failing = false;
    } catch (error) {
      if (this.#closed.signal.aborted) return;
      if (!this.#failing)
        this.logger.warn(
          { err: error },
          'Cannot refresh the cached flags; answering queries with those read before until the database answers',
        );
      this.#failing = true;
    }
  }
}

/**
 * Gives the result of `read`. When the database does not answer, gives the cached answer instead, if there is one; a
 * database that is only busy is waited for where there is none.
 */
export async function orRemembered<T>(read: () => Promise<T>, remembered: () => T | null): Promise<T> {
  const reading = read();
  try {
    return await withTimeout(PATIENCE, 'The database does not answer.', () => reading);
  } catch (error) {
    const isLate = error instanceof TimeoutError;
    const cause = asServiceError(error);
    const isAway = isLate || (cause instanceof FleetFlagError && cause.code === 'SERVICE_UNAVAILABLE');
    const known = isAway ? remembered() : null;
    if (known !== null) return known;
    if (isLate) return reading;
    throw error;
  }
}
