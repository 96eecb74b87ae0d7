/**
 * The living flags in memory. Queries are answered from here after a read of the environments' positions that began
 * after them (sync/snapshots/snapshots.ts), and while the database is down from what was last read. Sources: design.md,
 * "What fails, and what then"; docs/decisions/streams/sync-cache.md.
 */
import { FleetFlagError } from '../../../../core/errors.ts';
import { isKilled } from '../../../../core/evaluation/rules/kill-switch.ts';
import type { Environment } from '../../../../core/model.ts';
import type { PrismaClient } from '../../../../prisma/generated/client.ts';
import { asServiceError } from '../../../shared/postgres/service-error.ts';
import { TimeoutError, withTimeout } from '../../../../core/async/timeout.ts';
import { pageOf, type Page } from '../../../../core/wire/api/pagination.ts';
import type { AnswerNotes } from '../../../shared/subgraph/subgraph.ts';
import type { FlagChangeOutcome, FlagChanges } from '../../changes/change.ts';
import { definitionIn } from '../../signing/signing.ts';
import type { Definitions } from '../../sync/evaluation.ts';
import { samePosition } from '../../sync/snapshots/snapshot.ts';
import type { Position, PositionFollower } from '../../sync/sync-store.ts';
import type { Flag } from '../flag.ts';
import type { FlagFilter, FlagOrder } from '../../generated/resolvers.ts';
import { NEWEST_FIRST, readTimePlace } from '../reading/flag-order.ts';
import {
  findFlagsByKey,
  readChangedFlags,
  readLivingFlags,
  type FlagPage,
  type LivingFlag,
} from '../reading/flag-reads.ts';

/**
 * Milliseconds after which a read that the cache can answer is answered from it. A database that is only busy gets this
 * long.
 */
const READ_TIMEOUT_MS = 5_000;

/** A flag in memory. */
interface Held extends LivingFlag {
  readonly flag: Flag;
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
  'hasRelease',
]);

const toUs = (time: Date) => time.getTime() * 1_000;

type TimeOfFlag = 'createdAtUs' | 'updatedAtUs';

/** All flags in memory, for lists of them. */
class View {
  readonly id: ReadonlyMap<string, Held>;
  readonly #sorted = new Map<TimeOfFlag, readonly Held[]>();

  constructor(readonly all: readonly Held[]) {
    this.id = new Map(all.map((held) => [held.id, held]));
  }

  /** Gives all flags by a time, ascending, and then by id; sorted once. */
  sorted(by: TimeOfFlag): readonly Held[] {
    let sorted = this.#sorted.get(by);
    if (sorted === undefined)
      this.#sorted.set(by, (sorted = [...this.all].sort((a, b) => a[by] - b[by] || (a.id < b.id ? -1 : 1))));
    return sorted;
  }
}

const isLiving = ({ archivedAt, draft }: Flag) => archivedAt === null && !draft;

/** The flags that were read. A change of one costs the same, however many there are. */
class ReadFlags {
  readonly id = new Map<string, Held>();
  readonly #key = new Map<string, Held>();
  /** The sums of the checks of each environment's flags. */
  readonly #sums = new Map<Environment, bigint>();

  constructor(all: Iterable<Held> = []) {
    for (const held of all) this.#put(held);
  }

  byKey(key: string): Held | undefined {
    return this.#key.get(key);
  }

  /**
   * Takes flags of an environment over, unless its flags would not come to the sum of `check` by that. Says whether it
   * has.
   */
  advance(environment: Environment, changed: readonly Held[], check: bigint): boolean {
    let sum = this.#sums.get(environment) ?? 0n;
    for (const held of changed) {
      const was = this.id.get(held.id);
      sum += BigInt(held.check - (was?.flag.environment === environment ? was.check : 0));
    }
    if (sum !== check) return false;
    for (const held of changed) this.#put(held);
    return true;
  }

  #put(held: Held): void {
    const { environment, key } = held.flag;
    const was = this.id.get(held.id);
    if (was !== undefined)
      this.#sums.set(was.flag.environment, (this.#sums.get(was.flag.environment) ?? 0n) - BigInt(was.check));
    this.#sums.set(environment, (this.#sums.get(environment) ?? 0n) + BigInt(held.check));
    this.id.set(held.id, held);
    this.#key.set(key, held);
  }
}

/** Holds the living flags of every environment. */
export class RememberedFlags implements PositionFollower {
  #positions: ReadonlyMap<Environment, Position> = new Map();
  #read = new ReadFlags();
  /** Flags that this instance has committed since the last look began, by id. */
  readonly #committed = new Map<string, Flag>();
  #view: View | undefined;

  constructor(private readonly prisma: PrismaClient) {}

  /** Reads what has changed when the positions are others than those of the last read. */
  follow(): (positions: ReadonlyMap<Environment, Position>) => Promise<void> {
    // The positions will contain what was committed before them, but possibly not what is committed meanwhile.
    const committed = [...this.#committed.values()];
    return async (positions) => {
      const stands = (environment: Environment, position: Position) => {
        const known = this.#positions.get(environment);
        return known !== undefined && samePosition(known, position);
      };
      const moved = [...positions].flatMap(([environment, position]) =>
        stands(environment, position) ? [] : [environment],
      );
      if (moved.length > 0 && !(await this.#readChanges(moved))) await this.#readChanged();
      for (const flag of committed) if (this.#committed.get(flag.id) === flag) this.#committed.delete(flag.id);
      if (committed.length > 0) this.#view = undefined;
    };
  }

  /**
   * Reads what has changed in environments since they were read. Gives false where that does not lead to what they
   * hold: a flag has left, or a restored database has another history.
   */
  async #readChanges(environments: readonly Environment[]): Promise<boolean> {
    for (const environment of environments) {
      const since = this.#positions.get(environment)?.revision;
      if (since === undefined) return false;
      const { position, check, changed } = await readChangedFlags(this.prisma, environment, since);
      if (!this.#read.advance(environment, changed, check)) return false;
      this.#positions = new Map([...this.#positions, [environment, position]]);
      this.#view = undefined;
    }
    return true;
  }

  async #readChanged(): Promise<void> {
    const held = new Map(Array.from(this.#read.id, ([id, { version }]) => [id, version]));
    const { positions, living } = await readLivingFlags(this.prisma, held);
    const read = living.map(({ flag: changed, ...row }) => {
      const flag = changed ?? this.#read.id.get(row.id)?.flag;
      if (flag === undefined) throw new Error(`The flag ${row.id} was read without its content`);
      return { ...row, flag };
    });
    this.#read = new ReadFlags(read);
    this.#positions = positions;
    this.#view = undefined;
  }

  /**
   * Wraps `changes`, so that this instance caches the flags that it creates and edits before the caller has the answer:
   * the database may go down right after it.
   */
  noting(changes: FlagChanges): FlagChanges {
    const note = <Change extends Pick<FlagChangeOutcome, 'flag'>>(change: Change): Change => {
      this.#committed.set(change.flag.id, change.flag);
      this.#view = undefined;
      return change;
    };
    return {
      ...changes,
      create: async (...args) => note(await changes.create(...args)),
      edit: async (...args) => note(await changes.edit(...args)),
      async applySet(...args) {
        const set = await changes.applySet(...args);
        for (const flag of set.flags) note({ flag });
        return set;
      },
    };
  }

  /** Gives those living flags whose `by` is one of `names`. */
  find(by: 'id' | 'key', names: readonly string[]): Flag[] {
    const committed = new Map(Array.from(this.#ahead(), (flag) => [flag[by], flag]));
    return [...new Set(names)].flatMap((name) => {
      const own = committed.get(name);
      if (own !== undefined) return isLiving(own) ? [own] : [];
      return (by === 'id' ? this.#read.id.get(name) : this.#read.byKey(name))?.flag ?? [];
    });
  }

  /** Gives flags as `find` does, or null when one is unknown: it may be archived, or not exist. */
  named(by: 'id' | 'key', names: readonly string[]): Flag[] | null {
    const found = this.find(by, names);
    return found.length === new Set(names).size ? found : null;
  }

  /** Gives flags by key: those in memory without a read of the database, and only others (archived ones) from it. */
  async byKeys(keys: readonly string[]): Promise<Flag[]> {
    const found = this.find('key', keys);
    const known = new Set(found.map(({ key }) => key));
    const others = keys.filter((key) => !known.has(key));
    return others.length === 0 ? found : [...found, ...(await findFlagsByKey(this.prisma, others))];
  }

  /** Gives the definitions of `environment` as cached, or null when none of it was read. */
  definitions(environment: Environment): Definitions | null {
    const position = this.#positions.get(environment);
    if (position === undefined) return null;
    const flags = this.#present().all.flatMap(({ flag }) => (flag.environment === environment ? flag : []));
    const definitions = flags
      .sort((a, b) => (a.key < b.key ? -1 : 1))
      .map(({ signedDefinition: jws }) => ({ definition: definitionIn(jws), jws }));
    return { revision: Math.max(position.revision, ...flags.map(({ revision }) => revision)), definitions };
  }

  /** Gives a page as the database would, or null when only the database can. */
  page(search: FlagFilter, page: Page, order: FlagOrder = NEWEST_FIRST): FlagPage | null {
    // The database orders texts by rules of its own.
    if (order.field !== 'created_at' && order.field !== 'updated_at') return null;
    const asked = Object.entries(search).filter(([, value]) => value !== null && value !== undefined && value !== '');
    if (
      this.#positions.size === 0 ||
      search.archived === true ||
      search.draft === true ||
      !asked.every(([name]) => KNOWN_FILTERS.has(name))
    )
      return null;
    const byCreation = order.field === 'created_at';
    const place = page.cursor === null ? null : this.#placeOf(page.cursor, byCreation);
    if (place === undefined) return null;
    const timeOf = (held: Held) => (byCreation ? held.createdAtUs : held.updatedAtUs);
    const way = (order.direction === 'asc') === page.backwards ? -1 : 1;
    const compare = (a: Held, us: number, id: string) => way * (timeOf(a) - us || (a.id < id ? -1 : a.id > id ? 1 : 0));
    const sorted = this.#present().sorted(byCreation ? 'createdAtUs' : 'updatedAtUs');
    const matching = sorted.filter(({ flag }) => matches(flag, search));
    const beyond = place === null ? matching : matching.filter((held) => compare(held, place.us, place.id) > 0);
    const { items, more } = pageOf(way === 1 ? beyond : beyond.toReversed(), page);
    const places = new Map(
      items.map(({ id, updatedAtUs }) => [id, byCreation ? id : `updated_at:${id}:${updatedAtUs}`]),
    );
    return {
      flags: items.map(({ flag }) => flag),
      totalCount: matching.length,
      more,
      nameOf: ({ id }) => places.get(id) ?? id,
    };
  }

  /** Gives the place of a cursor, or undefined where only the database knows it. */
  #placeOf(cursor: string, byCreation: boolean): { readonly us: number; readonly id: string } | undefined {
    if (!byCreation) return readTimePlace(cursor) ?? undefined;
    const held = this.#present().id.get(cursor.toLowerCase());
    return held && { us: held.createdAtUs, id: held.id };
  }

  /** Gives the flags that this instance has committed and not read since. */
  #ahead(): Flag[] {
    // A reading since then contains the change, and what others have made of it.
    return [...this.#committed.values()].filter(
      ({ environment, revision }) => revision > (this.#positions.get(environment)?.revision ?? -1),
    );
  }

  #present(): View {
    if (this.#view !== undefined) return this.#view;
    const ahead = this.#ahead();
    const committed = new Set(ahead.map(({ id }) => id));
    return (this.#view = new View([
      ...[...this.#read.id.values()].filter(({ id }) => !committed.has(id)),
      ...ahead.filter(isLiving).map((flag) => ({
        id: flag.id,
        version: '',
        check: 0,
        // The database's times are finer, but this process has written these.
        createdAtUs: this.#read.id.get(flag.id)?.createdAtUs ?? toUs(flag.createdAt),
        updatedAtUs: toUs(flag.updatedAt),
        flag,
      })),
    ]));
  }
}

function matches(flag: Flag, search: FlagFilter): boolean {
  const { environment, enabled, safetyLevel, killed, type, keyPrefix, hasRelease } = search;
  return (
    (!environment || flag.environment === environment) &&
    (typeof enabled !== 'boolean' || flag.enabled === enabled) &&
    (!safetyLevel || flag.safetyLevel === safetyLevel) &&
    (typeof killed !== 'boolean' || isKilled(flag.rules) === killed) &&
    (!type || flag.type === type) &&
    (typeof hasRelease !== 'boolean' || (flag.release !== null) === hasRelease) &&
    (!keyPrefix || flag.key.startsWith(keyPrefix))
  );
}

/**
 * Gives the result of `read`. When the database does not answer, gives the cached answer instead, if there is one; a
 * database that is only busy is waited for where there is none.
 *
 * @param notes receives whether it is the cached answer
 */
export async function orRemembered<T>(
  read: () => Promise<T>,
  remembered: () => T | null,
  notes?: AnswerNotes,
): Promise<T> {
  const reading = read();
  try {
    return await withTimeout(READ_TIMEOUT_MS, 'The database does not answer.', () => reading);
  } catch (error) {
    const isLate = error instanceof TimeoutError;
    const cause = asServiceError(error);
    const isAway = isLate || (cause instanceof FleetFlagError && cause.code === 'SERVICE_UNAVAILABLE');
    const known = isAway ? remembered() : null;
    if (known !== null) {
      if (notes !== undefined) notes.remembered = true;
      return known;
    }
    if (isLate) return reading;
    throw error;
  }
}
