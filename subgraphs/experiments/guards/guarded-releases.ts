/**
 * The guards of releases that are watched, read from the flags subgraph's tables, and this subgraph's own tables of
 * verdicts and evidence. docs/decisions/data/reading-another-subgraphs-table.md says why this is a statement and not a
 * call.
 */
import { parseJson } from '../../../core/json/json-value.ts';
import { is } from '../../../core/json/shape.ts';
import { releaseSalt } from '../../../core/evaluation/release.ts';
import { thresholdOf } from '../../../core/evaluation/rules/percentage-rollout.ts';
import { areReleaseGuards } from '../../../core/releases/release-guard.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { jsonColumn } from '../../shared/postgres/column-values.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { findDefinition } from '../definitions/definition-store.ts';
import { storedState, type GuardState } from './guard-evidence.ts';
import type { GuardJudgement } from './guard-verdict.ts';
import type { AgeMs, Guarded, WatchedGuard } from './watched-guard.ts';

/** A watched guard of a release with what its verdict needs. */
interface WatchedReleaseGuard extends WatchedGuard {
  readonly releaseId: string;
  /** The place of the guard in `releases.guards`. */
  readonly place: number;
}

const isCanary = is.nullable(
  is.shape({
    vins: is.optional(is.listOf(is.string)),
    models: is.optional(is.listOf(is.string)),
    regions: is.optional(is.listOf(is.string)),
  }),
);

/** Finds the guards of releases under way whose verdicts are due, each as `<release>/<place>`. */
async function dueGuards(db: PrismaClient, age: AgeMs): Promise<string[]> {
  const rows = await rowsOf(db, { id: is.string })`
    SELECT r.id || '/' || g.place AS id FROM releases r
    CROSS JOIN LATERAL generate_series(0, jsonb_array_length(r.guards) - 1) AS g (place)
    LEFT JOIN release_verdicts v ON v.release_id = r.id AND v.guard = g.place AND v.watch = r.revision
    WHERE r.ended_at IS NULL
      AND (v.verdict IS NULL OR (v.verdict <> 'crossed' AND v.computed_at <= clock_timestamp() - make_interval(secs => ${age}::float8 / 1000)))
    ORDER BY v.computed_at NULLS FIRST`;
  return rows.map(({ id }) => id);
}

const ROW = {
  flagKey: is.string,
  ring: is.string,
  canary: isCanary,
  guards: areReleaseGuards,
  percentage: is.number,
  revision: is.bigint,
  stageStartedAt: is.date,
  now: is.date,
};

/** Reads a watched guard; null when its release has ended, or its verdict is not due. */
async function findGuard(db: Transaction, id: string, age: AgeMs): Promise<WatchedReleaseGuard | null> {
  const [releaseId = '', at] = id.split('/');
  const place = Number(at);
  const [row] = await rowsOf(db, ROW)`
    SELECT f.key AS "flagKey", r.ring, r.canary, r.guards, r.percentage::float8 AS percentage, r.revision,
      r.stage_started_at AS "stageStartedAt", clock_timestamp() AS now
    FROM releases r JOIN flags f ON f.id = r.flag_id WHERE r.id = ${releaseId}::uuid AND r.ended_at IS NULL`;
  const guard = row?.guards[place];
  if (row === undefined || guard === undefined) return null;
  const { flagKey, revision, stageStartedAt, now } = row;
  const of = { releaseId_guard: { releaseId, guard: place } };
  const verdict = await db.releaseVerdict.findUnique({ where: of });
  if (
    verdict?.watch === revision &&
    (verdict.verdict === 'crossed' || now.getTime() - verdict.computedAt.getTime() < age)
  )
    return null;
  const threshold = thresholdOf(row.percentage);
  const { vins = [], models = [], regions = [] } = row.canary ?? {};
  const watch = { watch: Number(revision), watchedSince: stageStartedAt, serves: threshold > 0 || row.canary !== null };
  return {
    ...{ releaseId, place, flagKey, threshold, now, salt: releaseSalt(row.ring), ring: { vins, models, regions } },
    guard: { ...guard, ...watch },
    definition: await findDefinition(db, guard.metric),
    state: storedState((await db.releaseEvidence.findUnique({ where: of }))?.state),
  };
}

async function saveState(
  tx: Transaction,
  { releaseId, place: guard, now }: WatchedReleaseGuard,
  state: GuardState,
): Promise<void> {
  const columns = { state: jsonColumn(parseJson(JSON.stringify(state))), updatedAt: now };
  await tx.releaseEvidence.upsert({
    where: { releaseId_guard: { releaseId, guard } },
    create: { releaseId, guard, ...columns },
    update: columns,
  });
}

/** Writes a verdict, unless there is one about a later stage. */
async function saveVerdict(
  tx: Transaction,
  { releaseId, place, guard: { watch }, now }: WatchedReleaseGuard,
  { verdict, figures }: GuardJudgement,
): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO release_verdicts AS old (release_id, guard, watch, verdict, figures, computed_at)
    VALUES (${releaseId}::uuid, ${place}, ${watch}, ${verdict}, ${JSON.stringify(figures)}::jsonb, ${now})
    ON CONFLICT (release_id, guard) DO UPDATE SET watch = excluded.watch, verdict = excluded.verdict, figures = excluded.figures, computed_at = excluded.computed_at
    WHERE old.watch < excluded.watch OR (old.watch = excluded.watch AND old.verdict <> 'crossed')`;
}

/** The guards of releases. */
export const GUARDED_RELEASES: Guarded = {
  name: 'release',
  due: dueGuards,
  async judge(tx, id, age, look) {
    const watched = await findGuard(tx, id, age);
    if (watched === null) return false;
    const { state, judgement } = await look(watched);
    await saveState(tx, watched, state);
    await saveVerdict(tx, watched, judgement);
    return true;
  },
};
