/**
 * The guards of releases and the verdicts on them, which the experiments subgraph computes. Table: release_verdicts, a
 * read-only view of that subgraph's table: docs/decisions/data/reading-another-subgraphs-table.md.
 */
import { badInput } from '../../../core/errors.ts';
import { is } from '../../../core/json/shape.ts';
import type { JsonObject } from '../../../core/model.ts';
import type { ReleaseGuard, WatchingGuard } from '../../../core/releases/release-guard.ts';
import { durationText } from '../../../core/validation/duration.ts';
import { Prisma } from '../../../prisma/generated/client.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';
import type { Reader, Transaction } from '../../shared/postgres/transaction.ts';
import { boundFault, findDeclared } from '../rollouts/declared-metric.ts';
import { toGuardStatus, VERDICT_TTL_MS, type GuardStatus } from '../rollouts/rollout-guard.ts';
import type { FlagRelease } from './flag-release.ts';
import { HOLD_REASONS, guardReason } from './release-reasons.ts';

/** A guard of a release, and what it found last; null before its first look. */
export interface WatchedGuardOfRelease {
  readonly guard: WatchingGuard;
  readonly status: GuardStatus | null;
}

/** The parts of a release that its guards are about. */
type Guarded = Pick<FlagRelease, 'id' | 'guards' | 'revision'>;

/** Gives the guards of releases with what they found last, by the releases' ids. */
export async function guardsOfReleases(
  db: Reader,
  releases: readonly Guarded[],
): Promise<Map<string, WatchedGuardOfRelease[]>> {
  const ids = releases.flatMap(({ id, guards }) => (guards.length > 0 ? [id] : []));
  const rows = ids.length === 0 ? [] : await db.releaseVerdict.findMany({ where: { releaseId: { in: ids } } });
  const statusOf = (id: string, place: number) => {
    const row = rows.find(({ releaseId, guard }) => releaseId === id && guard === place);
    return row === undefined ? null : toGuardStatus({ ...row, watch: Number(row.watch) });
  };
  return new Map(
    releases.map(({ id, guards }) => [id, guards.map((guard, place) => ({ guard, status: statusOf(id, place) }))]),
  );
}

/** Gives the reason for which a guard lets no stage begin; null where it does. */
function obstacleOf(
  { guard, status }: WatchedGuardOfRelease,
  { revision, percentage }: Pick<FlagRelease, 'revision' | 'percentage'>,
  now: Date,
): string | null {
  const { metric, bound, minimumVehicles } = guard;
  // A limit that was crossed at an earlier stage is crossed.
  if (status?.verdict === 'crossed') return guardReason(guard, status.figures);
  const isFresh = status?.watch === revision && now.getTime() - status.computedAt.getTime() <= VERDICT_TTL_MS;
  if (status === null || !isFresh) return HOLD_REASONS.unwatched(metric);
  if (status.verdict === 'silent') return HOLD_REASONS.unmeasured(metric);
  // At 100 % there is nobody to compare with, and a stage of the canary group alone has drawn nobody.
  const isComparable = percentage > 0 && (percentage < 100 || bound !== null);
  if (status.verdict === 'holding' || !isComparable) return null;
  const { treatmentVehicles, controlVehicles } = status.figures;
  return HOLD_REASONS.uncounted(metric, treatmentVehicles, controlVehicles, minimumVehicles);
}

/**
 * Gives the reason for which the guards of a release let no stage begin; null where they do. Silence never does: each
 * of them needs a fresh verdict on the present stage.
 *
 * @param now by the database's clock
 */
export async function guardsObstacle(db: Reader, release: FlagRelease, now: Date): Promise<string | null> {
  if (release.guards.length === 0) return null;
  const guards = (await guardsOfReleases(db, [release])).get(release.id) ?? [];
  return guards.map((guard) => obstacleOf(guard, release, now)).find((reason) => reason !== null) ?? null;
}

/**
 * Gives the releases under way with a guard whose limit is crossed.
 *
 * @param of the guards that are meant: those that halt, or those of some flags; by default all
 */
export async function crossedReleases(
  db: Reader,
  of: { readonly action?: 'halt'; readonly flagIds?: readonly string[] } = {},
): Promise<{ readonly id: string; readonly flagId: string }[]> {
  const action =
    of.action === undefined ? Prisma.sql`true` : Prisma.sql`r.guards -> v.guard ->> 'action' = ${of.action}`;
  const flags = of.flagIds === undefined ? Prisma.sql`true` : Prisma.sql`r.flag_id = ANY(${[...of.flagIds]}::uuid[])`;
  return rowsOf(db, { id: is.string, flagId: is.string })`
    SELECT DISTINCT r.id, r.flag_id AS "flagId" FROM releases r JOIN release_verdicts v ON v.release_id = r.id
    WHERE r.ended_at IS NULL AND v.verdict = 'crossed' AND ${action} AND ${flags} ORDER BY r.id`;
}

/**
 * Refuses guards of metrics that nobody has declared, and those with a bound that no test could find crossed.
 *
 * @param path the dotted path of the guards
 * @throws BAD_USER_INPUT at the path of the first fault
 */
export async function checkGuardMetrics(tx: Transaction, guards: readonly ReleaseGuard[], path: string): Promise<void> {
  for (const [index, guard] of guards.entries()) {
    const declared = await findDeclared(tx, guard.metric);
    if (declared === null)
      throw badInput(
        `${path}.${index}.metric`,
        `${guard.metric} is not declared: declare the metric with defineMetric first.`,
      );
    const fault = boundFault(declared, guard);
    if (fault !== null) throw badInput(`${path}.${index}.bound`, fault);
  }
}

/** Gives a guard as the audit log and files have it: always in one order, with the limit that it has. */
export function recordedGuard(guard: ReleaseGuard): JsonObject {
  const { metric, worse, maxWorsePercent, bound, action, confidenceLevel, minimumVehicles, silence } = guard;
  const limit: JsonObject = bound === null ? { maxWorsePercent } : { bound };
  return { metric, worse, ...limit, action, confidenceLevel, minimumVehicles, silence: durationText(silence) };
}
