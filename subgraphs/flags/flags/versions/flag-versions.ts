/** The content of each flag after each of its changes: what `Flag.versions` shows and `restoreFlag` brings back. */
import { ENVIRONMENTS, type Environment, type JsonObject } from '../../../../core/model.ts';
import { pageOf, type Page } from '../../../../core/wire/api/pagination.ts';
import type { Prisma } from '../../../../prisma/generated/client.ts';
import { oneOf, storedObject } from '../../../shared/postgres/column-values.ts';
import { writeRows } from '../../../shared/postgres/row-batches.ts';
import type { Reader, Transaction } from '../../../shared/postgres/transaction.ts';
import { flagContent, type Flag } from '../flag.ts';

/** A flag's content from one of its changes until the next. */
export interface FlagVersion {
  readonly environment: Environment;
  /** The revision that the change made in `environment`. */
  readonly revision: number;
  /** The content as `flagContent` gave it. */
  readonly content: JsonObject;
  readonly createdById: string | null;
  readonly createdAt: Date;
}

/** A page of a flag's versions, and the number of versions on all pages. */
export interface VersionPage {
  readonly versions: readonly FlagVersion[];
  readonly more: boolean;
  readonly totalCount: () => Promise<number>;
}

type Row = Omit<Prisma.FlagVersionGetPayload<object>, 'flagId'>;

const readEnvironment = oneOf('flag_versions.environment', ENVIRONMENTS);

function toVersion({ environment, revision, content, ...row }: Row): FlagVersion {
  return {
    ...row,
    environment: readEnvironment(environment),
    revision: Number(revision),
    content: storedObject('flag_versions.content', content),
  };
}

/** Keeps the contents that a change has given flags. The flags have their new revisions. */
export async function keepVersions(tx: Transaction, flags: readonly Flag[]): Promise<void> {
  const rows = flags.map((flag) => ({
    ...{ flag_id: flag.id, environment: flag.environment, revision: flag.revision, content: flagContent(flag) },
    ...{ created_by: flag.updatedById, created_at: flag.updatedAt.toISOString() },
  }));
  await writeRows(
    rows,
    (json) => tx.$executeRaw`
      INSERT INTO flag_versions (flag_id, environment, revision, content, created_by, created_at)
      SELECT flag_id, environment, revision, content, created_by, created_at
      FROM jsonb_populate_recordset(NULL::flag_versions, ${json}::jsonb)`,
  );
}

/** Gives the content that a flag had at an environment's revision, or null where it was not there or not kept. */
export async function versionAt(
  db: Reader,
  flagId: string,
  environment: Environment,
  revision: number,
): Promise<FlagVersion | null> {
  const row = await db.flagVersion.findFirst({
    where: { flagId, environment, revision: { lte: revision } },
    orderBy: { revision: 'desc' },
  });
  return row === null ? null : toVersion(row);
}

/** Names a version's place in the list, for cursors. */
export const versionPlace = ({ createdAt, revision }: FlagVersion): string => `${createdAt.getTime()}:${revision}`;
const PLACE = /^(\d{1,15}):(\d{1,15})$/;
/** Says whether a cursor names a place in the list. */
export const isVersionPlace = (text: string): boolean => PLACE.test(text);

/** Gives a page of a flag's versions, newest first. */
export async function listVersions(db: Reader, flagId: string, page: Page): Promise<VersionPage> {
  const [, time = '0', revision = '0'] = PLACE.exec(page.cursor ?? '') ?? [];
  const at = new Date(Number(time));
  const beyond = <Value>(value: Value): { gt: Value } | { lt: Value } =>
    page.backwards ? { gt: value } : { lt: value };
  const after = { OR: [{ createdAt: beyond(at) }, { createdAt: at, revision: beyond(BigInt(revision)) }] };
  const direction = page.backwards ? 'asc' : 'desc';
  const rows = await db.flagVersion.findMany({
    where: { flagId, ...(page.cursor !== null && after) },
    orderBy: [{ createdAt: direction }, { revision: direction }],
    take: page.limit + 1,
  });
  const { items, more } = pageOf(rows.map(toVersion), page);
  return { versions: items, more, totalCount: () => db.flagVersion.count({ where: { flagId } }) };
}
