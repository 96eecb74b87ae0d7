/** Flags' histories, as lists of flags show them: those of all flags of a page are read with one statement. */
import { Prisma, type PrismaClient } from '../../../prisma/generated/client.ts';
import { prepared } from '../../shared/postgres/prepared-statements.ts';
import {
  sharedFieldLoader,
  sharedLoader,
  type FieldOfRow,
  type SharedLoader,
} from '../../shared/postgres/shared-loader.ts';
import type { LaggingReads } from '../../shared/postgres/replica-reads.ts';
import { pageOf, type Page } from '../../../core/wire/api/pagination.ts';
import { ENTRY_COLUMNS, isEntryJson, type AuditLogPage, type StoredAuditEntry } from './audit-log-store.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';

/** A page that begins at the newest or the oldest entry. */
export type FirstPage = Page & { readonly cursor: null };

/** Loads the first pages of flags' histories, and the numbers of their entries, by the flags' ids. */
export interface FlagHistories {
  readonly historyOf: SharedLoader<FieldOfRow<FirstPage>, AuditLogPage | null>;
  readonly historyCountOf: SharedLoader<string, number | null>;
}

async function readHistories(
  prisma: PrismaClient,
  flagIds: readonly string[],
  page: FirstPage,
): Promise<Map<string, AuditLogPage>> {
  const [name, way] = page.backwards ? (['oldest_entries', 'ASC'] as const) : (['newest_entries', 'DESC'] as const);
  const order = Prisma.raw(`created_at ${way}, chain_position ${way}`);
  // The statement gives one value: the driver and the client take many times longer for rows and columns than for JSON.
  const [read] = await rowsOf(prisma, { entries: is.listOf(isEntryJson) })`${prepared(name)}
    SELECT COALESCE(json_agg(entry), '[]') AS entries FROM unnest(${[...flagIds]}::uuid[]) AS flag (id) CROSS JOIN LATERAL (
      SELECT ${ENTRY_COLUMNS} FROM audit_logs WHERE flag_id = flag.id ORDER BY ${order} LIMIT ${page.limit + 1}
    ) AS entry`;
  const histories = new Map<string, StoredAuditEntry[]>(flagIds.map((id) => [id, []]));
  for (const { createdAt, ...entry } of read?.entries ?? [])
    histories.get(entry.flagId ?? '')?.push({ ...entry, createdAt: new Date(createdAt) });
  const sign = page.backwards ? 1 : -1;
  const inOrder = (entries: StoredAuditEntry[]) => entries.sort((a, b) => sign * (a.position - b.position));
  return new Map(
    Array.from(histories, ([flagId, entries]) => {
      const { items, more } = pageOf(inOrder(entries), page);
      return [flagId, { entries: items, more }];
    }),
  );
}

async function countEntries(prisma: PrismaClient, flagIds: readonly string[]): Promise<Map<string, number>> {
  const rows = await rowsOf(prisma, { id: is.string, count: is.bigint })`${prepared('entries_of_flags')}
    SELECT flag_id AS id, count(*) AS count FROM audit_logs WHERE flag_id = ANY(${[...flagIds]}::uuid[]) GROUP BY flag_id`;
  return new Map(rows.map(({ id, count }) => [id, Number(count)]));
}

/** Creates the loaders that all requests share which read from the same database, the primary or a replica. */
export function flagHistories(lagging: LaggingReads): FlagHistories {
  return {
    historyOf: sharedFieldLoader(
      (flagIds, page: FirstPage) => lagging.read((db) => readHistories(db, flagIds, page)),
      ({ limit, backwards }) => `${limit} ${backwards}`,
    ),
    historyCountOf: sharedLoader(
      (flagIds: readonly string[]) => lagging.read((db) => countEntries(db, flagIds)),
      (id) => id,
    ),
  };
}
