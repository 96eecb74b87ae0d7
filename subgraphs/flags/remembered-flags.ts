/**
 * The living flags as they were last read, for who asks while the database is away. Source: design.md, "What fails, and
 * what then": reads of cached flags go on.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { unattended } from '../../core/async/unattended.ts';
import { FleetFlagError } from '../../core/errors.ts';
import { isKilled } from '../../core/evaluation/evaluate.ts';
import type { PrismaClient } from '../../prisma/generated/client.ts';
import { asServiceError } from '../shared/database/service-error.ts';
import { TookTooLong, inTime } from '../shared/in-time.ts';
import { pageOf, type Page } from '../shared/pagination.ts';
import { Repetition } from '../shared/repetition.ts';
import type { Flag } from './flag.ts';
import { NEWEST_FIRST, type FlagOrder } from './flag-order.ts';
import type { FlagSearch } from './flag-search.ts';
import { findFlags, type FlagPage } from './store.ts';

/** Milliseconds between two looks at whether an environment has changed. */
const INTERVAL = 1_000;
/**
 * Milliseconds that a read may take where there is something to answer from memory: a database that is only busy is
 * waited for.
 */
const PATIENCE = 5_000;

interface RememberedEnvironment {
  /** Of its row, when the flags were read. */
  readonly stamp: readonly [revision: bigint, updatedAt: number];
  readonly flags: readonly Flag[];
}

/** What memory can tell flags by; anything else is for the database. */
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

export class RememberedFlags {
  readonly #environments = new Map<string, RememberedEnvironment>();
  readonly #looks = new Repetition(() => this.#look());
  #failing = false;

  constructor(
    private readonly prisma: PrismaClient,
    private readonly logger: Logger,
  ) {}

  start(): void {
    unattended(this.#looks.start(), 'Remembering flags');
  }

  close(): Promise<void> {
    return this.#looks.close();
  }

  /** Reads what has changed since the last time. Rejects when the database cannot be read. */
  async refresh(): Promise<void> {
    for (const { name, revision, updatedAt } of await this.prisma.environment.findMany()) {
      const stamp = [revision, updatedAt.getTime()] as const;
      if (isDeepStrictEqual(this.#environments.get(name)?.stamp, stamp)) continue;
      this.#environments.set(name, {
        stamp,
        flags: await findFlags(this.prisma, { environment: name, archivedAt: null }),
      });
    }
  }

  /** The living flags of which `name` is one of `names`; null where one is not known: it may be archived, or none. */
  named(by: 'id' | 'key', names: readonly string[]): Flag[] | null {
    const found = this.#all().filter((flag) => names.includes(flag[by]));
    return new Set(found.map((flag) => flag[by])).size === new Set(names).size ? found : null;
  }

  /** A page as the database would give it; null where only that can tell. */
  page(search: FlagSearch, page: Page, order: FlagOrder = NEWEST_FIRST): FlagPage | null {
    // Times of the database are finer than those remembered, and its order of texts is its own: only what every flag's
    // id tells is told here.
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
    return [...this.#environments.values()].flatMap(({ flags }) => flags);
  }

  /** Looks; gives the milliseconds until the next time. */
  async #look(): Promise<number> {
    try {
      await this.refresh();
      this.#failing = false;
    } catch (error) {
      if (!this.#failing && !this.#looks.closed)
        this.logger.warn(
          { err: error },
          'Flags cannot be read; who asks for them is answered with those that were read before',
        );
      this.#failing = true;
    }
    return INTERVAL;
  }
}

/** What `read` gives; where the database does not answer, what is remembered, if that is not null. */
export async function orRemembered<T>(read: () => Promise<T>, remembered: () => T | null): Promise<T> {
  try {
    return await (remembered() === null ? read() : inTime(PATIENCE, 'The database does not answer.', read));
  } catch (error) {
    const cause = asServiceError(error);
    const isAway =
      error instanceof TookTooLong || (cause instanceof FleetFlagError && cause.code === 'SERVICE_UNAVAILABLE');
    const known = isAway ? remembered() : null;
    if (known === null) throw error;
    return known;
  }
}
