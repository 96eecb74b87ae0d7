/** Flags' histories, as lists of flags show them: those of all flags of a page are read with one statement. */
import { Prisma, type PrismaClient } from '../../../prisma/generated/client.ts';
import { prepared } from '../../shared/postgres/prepared-statements.ts';
import {
  sharedFieldLoader,
  sharedLoader,
  type FieldOfRow,
  type SharedLoader,
} from '../../shared/postgres/shared-loader.ts';
import { pageOf, type Page } from '../../../core/wire/pagination.ts';
import { ENTRY_COLUMNS, type AuditLogPage, type StoredAuditEntry } from './audit-log-store.ts';

/** A page that begins at the newest or the oldest entry. */
export type FirstPage = Page & { readonly cursor: null };

/** Loads the first pages of flags' histories, and the numbers of their entries, by the flags' ids. */
export interface FlagHistories {
  readonly historyOf: SharedLoader<FieldOfRow<FirstPage>, AuditLogPage | null>;
  readonly historyCountOf: SharedLoader<string, number | null>;
}

type EntryJson = Omit<StoredAuditEntry, 'createdAt'> & { readonly createdAt: string };

async function readHistories(
  prisma: PrismaClient,
  flagIds: readonly string[],
  page: FirstPage,
): Promise<Map<string, AuditLogPage>> {
  const [name, way] = page.backwards ? (['oldest_entries', 'ASC'] as const) : (['newest_entries', 'DESC'] as const);
  const order = Prisma.raw(`created_at ${way}, chain_position ${way}`);
  // One value for all: the driver and the client take many times longer for each row and column than for JSON.
  const [read] = await prisma.$queryRaw<{ entries: EntryJson[] }[]>`${prepared(name)}
    SELECT COALESCE(json_agg(entry), '[]') AS entries FROM unnest(${[...flagIds]}::uuid[]) AS flag (id) CROSS JOIN LATERAL (
      SELECT ${ENTRY_COLUMNS} FROM audit_logs WHERE flag_id = flag.id ORDER BY ${order} LIMIT ${page.limit + 1}
    ) AS entry`;
  const histories = new Map<string, StoredAuditEntry[]>(flagIds.map((id) => [id, []]));
  for (const { createdAt, ...entry } of read?.entries ?? [])
    histories.get(entry.flagId ?? '')?.push({ ...entry, createdAt: new Date(createdAt) });
  const turn = page.backwards ? 1 : -1;
  const inOrder = (entries: StoredAuditEntry[]) => entries.sort((a, b) => turn * (a.position - b.position));
  return new Map(
    Array.from(histories, ([flagId, entries]) => {
      const { items, more } = pageOf(inOrder(entries), page);
      return [flagId, { entries: items, more }];
    }),
  );
}

async function countEntries(prisma: PrismaClient, flagIds: readonly string[]): Promise<Map<string, number>> {
  const rows = await prisma.$queryRaw<{ id: string; count: bigint }[]>`${prepared('entries_of_flags')}
    SELECT flag_id AS id, count(*) AS count FROM audit_logs WHERE flag_id = ANY(${[...flagIds]}::uuid[]) GROUP BY flag_id`;
  return new Map(rows.map(({ id, count }) => [id, Number(count)]));
}

/** Creates the loaders. */
export function flagHistories(prisma: PrismaClient): FlagHistories {
  return {
    historyOf: sharedFieldLoader(
      (flagIds, page: FirstPage) => readHistories(prisma, flagIds, page),
      ({ limit, backwards }) => `${limit} ${backwards}`,
    ),
    historyCountOf: sharedLoader(
      (flagIds: readonly string[]) => countEntries(prisma, flagIds),
      (id) => id,
    ),
  };
}
