/** Releases and their table. A flag has at most one under way; the others are kept for examination. */
import { ENVIRONMENTS, type Environment, type JsonObject, type ReleaseCanary } from '../../../core/model.ts';
import { is, type Shaped } from '../../../core/json/shape.ts';
import { areWatchingGuards, type WatchingGuard } from '../../../core/releases/release-guard.ts';
import type { ReleaseStage } from '../../../core/releases/release-policy.ts';
import type { Page } from '../../../core/wire/api/pagination.ts';
import { pageOf } from '../../../core/wire/api/pagination.ts';
import { Prisma } from '../../../prisma/generated/client.ts';
import { oneOf } from '../../shared/postgres/column-values.ts';
import { rowCount, rowsOf } from '../../shared/postgres/rows.ts';
import { writeRows } from '../../shared/postgres/row-batches.ts';
import type { Reader, Transaction } from '../../shared/postgres/transaction.ts';
import { canaryContent, isCanary } from '../flags/staged-release.ts';

const RELEASE_STATUSES = ['running', 'holding', 'completed', 'halted', 'superseded'] as const;
/** The lifecycle of a release. `running` and `holding` are under way. */
export type ReleaseStatus = (typeof RELEASE_STATUSES)[number];

/** A release as it is stored. */
export interface FlagRelease {
  readonly id: string;
  /** The salt of the draw and the release's id in definitions. A release that supersedes another one keeps it. */
  readonly ring: string;
  readonly flagId: string;
  readonly environment: Environment;
  readonly status: ReleaseStatus;
  /** The place of the present stage in `stages`, from 0. */
  readonly stage: number;
  readonly percentage: number;
  /** The stages of the policy when the release began. */
  readonly stages: readonly ReleaseStage[];
  readonly canary: ReleaseCanary | null;
  readonly maximumFaultyVehicles: number;
  readonly maximumFaultyPercent: number;
  /**
   * The guards of the policy when the release began, and then those that people have added. The places of them stay.
   */
  readonly guards: readonly WatchingGuard[];
  /** The new content, as `releasedContent` gives it. */
  readonly content: JsonObject;
  /** The content that vehicles outside the ring keep, as `keptContent` gives it; null where it was not stored. */
  readonly stableContent: JsonObject | null;
  /** The flag's revision at which the present stage began. */
  readonly revision: number;
  /** The flag's revision at which it began. */
  readonly startedRevision: number;
  /** The reason why it holds, or has ended; null while it runs. */
  readonly reason: string | null;
  /** The user whose change it is; null for an API key. */
  readonly startedById: string | null;
  readonly startedAt: Date;
  readonly stageStartedAt: Date;
  /** The time when the soak ends; while it holds, the time of the next check. Null when it has ended. */
  readonly dueAt: Date | null;
  readonly endedAt: Date | null;
}

const COLUMNS = Prisma.sql`id, ring, flag_id AS "flagId", environment, status, stage, percentage::float8 AS percentage, stages, canary,
  maximum_faulty_vehicles AS "maximumFaultyVehicles", maximum_faulty_percent::float8 AS "maximumFaultyPercent", guards, content, stable_content AS "stableContent", revision,
  started_revision AS "startedRevision", reason,
  started_by AS "startedById", started_at AS "startedAt", stage_started_at AS "stageStartedAt", due_at AS "dueAt", ended_at AS "endedAt"`;

const ROW = {
  id: is.string,
  ring: is.string,
  flagId: is.string,
  environment: is.string,
  status: is.string,
  stage: is.number,
  percentage: is.number,
  stages: is.listOf(is.shape({ percentage: is.number, soakMs: is.number, minimumVehicles: is.number })),
  canary: is.nullable(isCanary),
  maximumFaultyVehicles: is.number,
  maximumFaultyPercent: is.number,
  guards: areWatchingGuards,
  content: is.jsonObject,
  stableContent: is.nullable(is.jsonObject),
  revision: is.bigint,
  startedRevision: is.bigint,
  reason: is.nullable(is.string),
  startedById: is.nullable(is.string),
  startedAt: is.date,
  stageStartedAt: is.date,
  dueAt: is.nullable(is.date),
  endedAt: is.nullable(is.date),
};

const readEnvironment = oneOf('releases.environment', ENVIRONMENTS);
const readStatus = oneOf('releases.status', RELEASE_STATUSES);

const toRelease = (row: Shaped<typeof ROW>): FlagRelease => ({
  ...row,
  environment: readEnvironment(row.environment),
  status: readStatus(row.status),
  revision: Number(row.revision),
  startedRevision: Number(row.startedRevision),
});

const guardsContent = (guards: readonly WatchingGuard[]) =>
  guards.map(({ reason, ...guard }): JsonObject => ({ ...guard, ...(reason !== undefined && { reason }) }));

/** Inserts releases at their first stage. */
export async function insertReleases(tx: Transaction, releases: readonly FlagRelease[]): Promise<void> {
  const rows = releases.map((release): JsonObject => ({
    ...{ id: release.id, ring: release.ring, flag_id: release.flagId, environment: release.environment },
    ...{ status: release.status, stage: release.stage, percentage: release.percentage, revision: release.revision },
    started_revision: release.startedRevision,
    ...{
      stages: release.stages.map((stage) => ({ ...stage })),
      canary: release.canary && canaryContent(release.canary),
    },
    maximum_faulty_vehicles: release.maximumFaultyVehicles,
    maximum_faulty_percent: release.maximumFaultyPercent,
    guards: guardsContent(release.guards),
    ...{
      content: release.content,
      stable_content: release.stableContent,
      started_by: release.startedById,
      started_at: release.startedAt.toISOString(),
    },
    stage_started_at: release.stageStartedAt.toISOString(),
    due_at: release.dueAt?.toISOString() ?? null,
  }));
  await writeRows(
    rows,
    (json) => tx.$executeRaw`
      INSERT INTO releases (id, ring, flag_id, environment, status, stage, percentage, revision, started_revision, stages, canary,
        maximum_faulty_vehicles, maximum_faulty_percent, guards, content, stable_content, started_by, started_at, stage_started_at, due_at)
      SELECT id, ring, flag_id, environment, status, stage, percentage, revision, started_revision, stages, canary,
        maximum_faulty_vehicles, maximum_faulty_percent, guards, content, stable_content, started_by, started_at, stage_started_at, due_at
      FROM jsonb_populate_recordset(NULL::releases, ${json}::jsonb)`,
  );
}

/** The contents of a release under way that have changed while it runs. */
export type ReleaseContents = Pick<FlagRelease, 'flagId' | 'content' | 'stableContent'>;

/** Writes the contents of releases under way. The caller holds the flags' locks. */
export async function putContents(tx: Transaction, contents: readonly ReleaseContents[]): Promise<void> {
  const rows = contents.map(({ flagId, content, stableContent }): JsonObject => ({
    ...{ flag_id: flagId, content, stable_content: stableContent },
  }));
  await writeRows(
    rows,
    (json) => tx.$executeRaw`
      UPDATE releases SET content = given.content, stable_content = given.stable_content
      FROM jsonb_populate_recordset(NULL::releases, ${json}::jsonb) AS given
      WHERE releases.flag_id = given.flag_id AND releases.ended_at IS NULL`,
  );
}

/** Ends the releases of flags that are under way. The caller holds the flags' locks. */
export async function endReleases(
  tx: Transaction,
  ends: readonly { readonly flagId: string; readonly status: ReleaseStatus; readonly reason: string | null }[],
  at: Date,
): Promise<void> {
  if (ends.length === 0) return;
  await rowCount(tx)`
    UPDATE releases SET status = given.status, reason = given.reason, due_at = NULL, ended_at = ${at}
    FROM unnest(${ends.map(({ flagId }) => flagId)}::uuid[], ${ends.map(({ status }) => status)}::text[], ${ends.map(({ reason }) => reason)}::text[])
      AS given (flag_id, status, reason)
    WHERE releases.flag_id = given.flag_id AND ended_at IS NULL`;
}

/** Gives the releases of flags that are under way, by the flags' ids. */
export async function releasesUnderWay(db: Reader, flagIds: readonly string[]): Promise<Map<string, FlagRelease>> {
  const rows = await rowsOf(db, ROW)`
    SELECT ${COLUMNS} FROM releases WHERE flag_id = ANY(${[...flagIds]}::uuid[]) AND ended_at IS NULL`;
  return new Map(rows.map((row) => [row.flagId, toRelease(row)]));
}

/** Gives the release of a flag that is under way, or null. */
export async function releaseUnderWay(db: Reader, flagId: string): Promise<FlagRelease | null> {
  return (await releasesUnderWay(db, [flagId])).get(flagId) ?? null;
}

/** A page of releases, and the number of releases on all pages. */
export interface ReleasePage {
  readonly releases: readonly FlagRelease[];
  readonly more: boolean;
  readonly totalCount: number;
}

/** The releases that are meant: of one flag, or of all (null), and at one of some statuses, or at any (null). */
export interface ReleaseChoice {
  readonly flagKey: string | null;
  readonly status: readonly ReleaseStatus[] | null;
}

function meantReleases({ flagKey, status }: ReleaseChoice): Prisma.Sql {
  const whose =
    flagKey === null ? Prisma.sql`true` : Prisma.sql`flag_id = (SELECT id FROM flags WHERE key = ${flagKey})`;
  if (status === null) return whose;
  // Few releases are under way, and an index has them alone.
  const areUnderWay = status.every((one) => one === 'running' || one === 'holding');
  return Prisma.sql`${whose} AND status = ANY(${[...status]}::text[])${areUnderWay ? Prisma.sql` AND ended_at IS NULL` : Prisma.empty}`;
}

/** Gives a page of the releases that are meant, newest first. The cursor is an id. */
export async function listReleases(db: Reader, choice: ReleaseChoice, page: Page): Promise<ReleasePage> {
  const whose = meantReleases(choice);
  const side = page.backwards ? Prisma.sql`>` : Prisma.sql`<`;
  const order = page.backwards ? Prisma.sql`ASC` : Prisma.sql`DESC`;
  const beyond =
    page.cursor === null
      ? Prisma.sql`true`
      : Prisma.sql`(started_at, id) ${side} (SELECT started_at, id FROM releases WHERE id = ${page.cursor}::uuid)`;
  const [rows, [total]] = await Promise.all([
    rowsOf(db, ROW)`
      SELECT ${COLUMNS} FROM releases WHERE ${whose} AND ${beyond} ORDER BY started_at ${order}, id ${order} LIMIT ${page.limit + 1}`,
    rowsOf(db, { count: is.bigint })`SELECT count(*) AS count FROM releases WHERE ${whose}`,
  ]);
  const { items, more } = pageOf(rows.map(toRelease), page);
  return { releases: items, more, totalCount: Number(total?.count ?? 0) };
}

/**
 * Gives the ids of releases under way whose soak is over at a time, the longest first; at most 100.
 *
 * @param begunFrom gives those alone whose stage has begun since then; null for all
 */
export async function dueReleases(
  db: Reader,
  at: Date,
  begunFrom: Date | null = null,
): Promise<{ id: string; flagId: string }[]> {
  const areMeant = begunFrom === null ? Prisma.sql`true` : Prisma.sql`stage_started_at >= ${begunFrom}`;
  return rowsOf(db, { id: is.string, flagId: is.string })`
    SELECT id, flag_id AS "flagId" FROM releases WHERE ended_at IS NULL AND due_at <= ${at} AND ${areMeant} ORDER BY due_at, id LIMIT 100`;
}

/**
 * Writes that releases hold which no instance has checked though they were due at `due`, and whose stage is from before
 * `begunFrom`.
 */
export async function holdUnchecked(db: Reader, due: Date, begunFrom: Date, reason: string): Promise<void> {
  await rowCount(db)`
    UPDATE releases SET status = 'holding', reason = ${reason}
    WHERE ended_at IS NULL AND status = 'running' AND due_at <= ${due} AND stage_started_at < ${begunFrom}`;
}

/** SQL for the soak of a release's present stage. */
const SOAK = Prisma.sql`COALESCE((stages->stage->>'soakMs')::float8, 0) * interval '1 millisecond'`;

/**
 * Takes back what a clock that ran ahead has written: a stage that begins in the future begins now, and a check that is
 * further off than the soak and `checkMs` allow comes by then. A release would otherwise wait for as long as the clock
 * was ahead.
 */
export async function correctReleaseTimes(db: Reader, now: Date, checkMs: number): Promise<void> {
  const soaked = Prisma.sql`GREATEST(LEAST(stage_started_at, ${now}::timestamptz) + ${SOAK}, ${new Date(now.getTime() + checkMs)})`;
  await rowCount(db)`
    UPDATE releases SET stage_started_at = LEAST(stage_started_at, ${now}), due_at = LEAST(due_at, ${soaked})
    WHERE ended_at IS NULL AND (stage_started_at > ${now} OR due_at > ${soaked})`;
}

/** Lets the present stages of flags' releases begin again, at revisions of their flags. */
export async function restartStages(
  tx: Transaction,
  flags: readonly { readonly id: string; readonly revision: number }[],
  at: Date,
): Promise<void> {
  await rowCount(tx)`
    UPDATE releases SET revision = given.revision, stage_started_at = ${at}, due_at = ${at}::timestamptz + ${SOAK}, status = 'running', reason = NULL
    FROM unnest(${flags.map(({ id }) => id)}::uuid[], ${flags.map(({ revision }) => revision)}::bigint[]) AS given (flag_id, revision)
    WHERE releases.flag_id = given.flag_id AND ended_at IS NULL`;
}

/** Gives the first time after `at` at which the soak of a release is over; null where there is none. */
export async function nextReleaseDueAfter(db: Reader, at: Date): Promise<Date | null> {
  const { _min } = await db.release.aggregate({ where: { endedAt: null, dueAt: { gt: at } }, _min: { dueAt: true } });
  return _min.dueAt;
}

/** Writes that a release holds, and when it is checked again. */
export async function holdRelease(tx: Transaction, id: string, reason: string, dueAt: Date): Promise<void> {
  await tx.release.update({ where: { id }, data: { status: 'holding', reason, dueAt } });
}

/** Writes the guards of a release. Those that it has keep their places, by which verdicts and evidence name them. */
export async function putGuards(tx: Transaction, id: string, guards: readonly WatchingGuard[]): Promise<void> {
  await tx.release.update({ where: { id }, data: { guards: guardsContent(guards) } });
}

/** Writes that a release is at a stage from a revision on. */
export async function putStage(
  tx: Transaction,
  id: string,
  given: Pick<FlagRelease, 'stage' | 'percentage' | 'revision' | 'stageStartedAt' | 'dueAt'>,
): Promise<void> {
  await tx.release.update({ where: { id }, data: { ...given, status: 'running', reason: null } });
}
