/**
 * Checks that the audit log is unchanged: recomputes the hash chain and finds the first row that does not fit. Source:
 * design.md, "Safety and accountability".
 */
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { auditHash, type HashedContent } from '../../shared/audit/audit-log.ts';
import { chainBounds, chainRows, rowsAt, type ChainBounds, type ChainPlace, type ChainRow } from './chain-store.ts';

/** The outcome of a check. */
export interface AuditIntegrity {
  readonly intact: boolean;
  /** The number of recomputed rows of the period, up to the first broken one. */
  readonly checked: number;
  readonly firstBrokenId: string | null;
  /** A description of the fault. */
  readonly fault: string | null;
  /** The hash of the period's last row when everything is intact; operators store it elsewhere. */
  readonly headHash: string | null;
}

/** The period to check. */
export interface Period {
  /** The earliest time, inclusive. */
  readonly from: Date | null;
  /** The end of the period, exclusive. */
  readonly to: Date | null;
}

/** The rows of one read: few enough that hashing them blocks the event loop for only some milliseconds. */
const PAGE = 200;

/** Seconds after which another check may have ended. */
const RETRY_AFTER_SECONDS = 10;

type Db = Pick<PrismaClient, '$queryRaw'>;
type Broken = { readonly id: string | null; readonly fault: string };

/** Checks whether a row has the hash of its content. */
function hasItsHash({ previousHash, hash, ...content }: ChainRow): boolean {
  try {
    return auditHash(previousHash, content satisfies HashedContent) === hash;
  } catch {
    // A number that FleetFlag cannot have written (1e400): PostgreSQL stores it, JSON cannot represent it.
    return false;
  }
}

/** Gives the row at which two neighbours stop fitting together. `row` has the hash of its own content. */
async function unlinked(
  db: Db,
  last: { place: ChainPlace; id: string | null },
  row: ChainRow,
  head: ChainPlace | null,
): Promise<Broken> {
  if (row.position === last.place.position) {
    // The chain goes on from one of the two, or ends with it.
    const isOfChain =
      row.hash === head?.hash ||
      (await rowsAt(db, row.position + 1)).some(({ previousHash }) => previousHash === row.hash);
    return {
      id: isOfChain ? last.id : row.id,
      fault: `There are two rows at position ${row.position}: this one was inserted afterwards.`,
    };
  }
  const inserted = (await rowsAt(db, row.position)).length > 1;
  if (inserted || last.id === null)
    return { id: row.id, fault: `The row at position ${row.position} does not follow the one before it.` };
  return {
    id: last.id,
    fault: `The row at position ${last.place.position} is not the one that the next row was chained to: it was changed together with its hash.`,
  };
}

/** Finds a row of the detached part of the chain, at or below the last detached position, where none may be left. */
async function findStray(db: Db, { start, before }: ChainBounds): Promise<Broken | null> {
  if (before !== null || start.position === 0) return null;
  const [stray] = await chainRows(db, { position: -1, id: null }, start.position, 1);
  if (stray === undefined) return null;
  return {
    id: stray.id,
    fault: `The row at position ${stray.position} belongs to a detached partition: it was inserted afterwards.`,
  };
}

/** Rows in the order of the chain, each of which follows the one before it. */
class FollowedRows {
  /** The number of rows of the period, without those on both sides of it. */
  checked = 0;
  /** The hash of the last row of the period. */
  headHash: string | null = null;
  /** The last row; before the first one, the place that it has to follow. */
  last: { readonly place: ChainPlace; readonly id: string | null };
  readonly #db: Db;
  readonly #after: number | null;
  readonly #head: ChainPlace | null;
  /** Whether the next row is the first one that is read, and lies before the period: it then follows any row. */
  #isAnchor: boolean;

  constructor(db: Db, { start, head, before, after }: ChainBounds) {
    this.#db = db;
    this.#after = after;
    this.#head = head;
    this.#isAnchor = before !== null;
    this.last = { place: start, id: null };
  }

  /** Adds the next row. Gives the fault where it does not fit. */
  async add(row: ChainRow): Promise<Broken | null> {
    const isBeside = this.#isAnchor || row.position === this.#after;
    if (this.#isAnchor) this.last = { place: { position: row.position - 1, hash: row.previousHash }, id: null };
    this.#isAnchor = false;
    const { place } = this.last;
    if (row.position > place.position + 1)
      return {
        id: row.id,
        fault: `Before this row, at position ${row.position}, rows are missing from position ${place.position + 1} on.`,
      };
    if (!hasItsHash(row))
      return { id: row.id, fault: `The row at position ${row.position} does not have the hash of its content.` };
    if (row.position !== place.position + 1 || row.previousHash !== place.hash)
      return unlinked(this.#db, this.last, row, this.#head);
    if (!isBeside) {
      this.checked += 1;
      this.headHash = row.hash;
    }
    this.last = { place: row, id: row.id };
    return null;
  }
}

/** Finds the fault of the end: rows that are missing up to `until`, or beyond the chain's head. */
async function findFaultAtEnd(
  db: Db,
  { after, highest }: ChainBounds,
  head: ChainPlace,
  { last: { place, id } }: FollowedRows,
  until: number,
): Promise<Broken | null> {
  if (place.position < until)
    return { id, fault: `After position ${place.position} rows are missing: the chain goes on to ${until}.` };
  if (after !== null) return null;
  if (place.hash !== head.hash)
    return { id, fault: `The last row, at position ${place.position}, is not the one at which the chain ends.` };
  if (highest <= head.position) return null;
  const [beyond] = await chainRows(db, { position: head.position, id: null }, highest, 1);
  return {
    id: beyond?.id ?? null,
    fault: `The row at position ${highest} is beyond the end of the chain: it was inserted afterwards.`,
  };
}

/** Finds the first fault of the rows of a period, which it reads one page at a time. */
async function findFault(
  db: Db,
  bounds: ChainBounds,
  rows: FollowedRows,
  signal: AbortSignal | undefined,
): Promise<Broken | null> {
  const { start, head, before, after } = bounds;
  if (head === null)
    return { id: null, fault: 'The place at which the chain ends is missing: its row in audit_chain was removed.' };
  const stray = await findStray(db, bounds);
  if (stray !== null) return stray;
  // The rows on both sides of the period are read, too: hashes cover the times that decide which rows belong to the
  // period. When a time was changed, those two positions cross, and the fault lies between them.
  const first = before === null ? null : Math.min(before, after ?? before);
  const until = Math.max(after ?? head.position, before ?? 0);
  let place: { readonly position: number; readonly id: string | null } = {
    position: first === null ? start.position : first - 1,
    id: null,
  };
  for (;;) {
    const page = await chainRows(db, place, until, PAGE);
    if (page.length === 0) return findFaultAtEnd(db, bounds, head, rows, until);
    signal?.throwIfAborted();
    for (const row of page) {
      const broken = await rows.add(row);
      if (broken !== null) return broken;
      place = row;
    }
  }
}

async function check(
  db: Db,
  { from, to }: Period,
  signal?: AbortSignal,
): Promise<{ integrity: AuditIntegrity; start: number }> {
  const bounds = await chainBounds(db, from, to);
  const rows = new FollowedRows(db, bounds);
  const broken = await findFault(db, bounds, rows, signal);
  const { checked, headHash } = rows;
  const integrity =
    broken === null
      ? { intact: true, checked, firstBrokenId: null, fault: null, headHash }
      : { intact: false, checked, firstBrokenId: broken.id, fault: broken.fault, headHash: null };
  return { integrity, start: bounds.start.position };
}

/**
 * Recomputes the rows of a period, in chain order, one page at a time. Over the whole log it also checks that the log
 * begins where it should (at the first row, or after the last detached one) and ends at the chain's head.
 *
 * @param signal ends the check between two pages: it then rejects with the signal's reason
 */
export async function checkIntegrity(db: Db, period: Period, signal?: AbortSignal): Promise<AuditIntegrity> {
  for (;;) {
    const { integrity, start } = await check(db, period, signal);
    // If a partition was detached meanwhile, rows were removed that this check was about to read, so it runs again.
    if (integrity.intact || (await chainBounds(db, null, null)).start.position === start) return integrity;
  }
}

/** Prevents concurrent checks, because each may read the whole log. */
export class IntegrityChecks {
  #running: { readonly key: string; readonly result: Promise<AuditIntegrity> } | undefined;
  readonly #stopping = new AbortController();

  constructor(private readonly prisma: PrismaClient) {}

  /**
   * Checks as `checkIntegrity` does. Callers that check the same period share the result.
   *
   * @throws BAD_USER_INPUT at `to` for a period that ends before it begins, at either for a time before 1970;
   * RATE_LIMITED while another period is being checked; SERVICE_UNAVAILABLE once `close` was called
   */
  async check({ from, to }: Period): Promise<AuditIntegrity> {
    for (const [field, time] of [
      ['from', from],
      ['to', to],
    ] as const) {
      if (time !== null && time.getTime() < 0)
        throw badInput(field, 'The audit log does not go back before 1970; choose a later time.');
    }
    if (from !== null && to !== null && from > to) throw badInput('to', 'to must not be before from.');
    const key = JSON.stringify([from, to]);
    if (this.#running !== undefined && this.#running.key !== key) {
      throw new FleetFlagError(
        'RATE_LIMITED',
        'Another period of the audit log is being checked; try again when that is done.',
        {
          retryAfter: RETRY_AFTER_SECONDS,
        },
      );
    }
    this.#running ??= {
      key,
      // oxlint-disable-next-line fleetflag/no-promise-in-object -- the caller that began it awaits it below
      result: checkIntegrity(this.prisma, { from, to }, this.#stopping.signal).finally(() => {
        this.#running = undefined;
      }),
    };
    return this.#running.result;
  }

  /** Ends a check in progress, which may otherwise take minutes; its callers get SERVICE_UNAVAILABLE. */
  close(): void {
    this.#stopping.abort(
      new FleetFlagError('SERVICE_UNAVAILABLE', 'The audit log was not checked to its end: this process is stopping.'),
    );
  }
}
