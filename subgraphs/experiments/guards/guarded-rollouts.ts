/**
 * The rollouts that are watched: a read-only view of the flags subgraph's tables, and this subgraph's own table of
 * verdicts. docs/decisions/reading-another-subgraphs-table.md says why this is a view and not a call.
 */
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { toRolloutGuard } from '../../shared/between-subgraphs/rollout-guard-row.ts';
import type { GuardWatch, Judgement } from './guard-verdict.ts';
import { membersOf } from '../../../core/json/json-value.ts';

/** A watched rollout with what its verdict needs. */
export interface WatchedRollout {
  readonly id: string;
  readonly flagKey: string;
  readonly guard: GuardWatch;
  /** The current time by the database's clock. */
  readonly now: Date;
}

/** The age in milliseconds at which a verdict is due to be computed again. */
type Age = number;

/**
 * Finds the rollouts whose verdicts are due, the oldest verdict first. A rollout whose limit is crossed needs no more.
 */
export async function dueForVerdict(db: PrismaClient, age: Age): Promise<string[]> {
  const rows = await db.$queryRaw<{ id: string }[]>`
    SELECT r.id FROM rollouts r JOIN rollout_guards g ON g.rollout_id = r.id LEFT JOIN rollout_verdicts v ON v.rollout_id = r.id AND v.watch = g.watch
    WHERE r.status IN ('running', 'paused') AND g.watched_since IS NOT NULL
      AND (v.verdict IS NULL OR (v.verdict <> 'crossed' AND v.computed_at <= clock_timestamp() - make_interval(secs => ${age}::float8 / 1000)))
    ORDER BY v.computed_at NULLS FIRST`;
  return rows.map(({ id }) => id);
}

/** Reads a watched rollout; null when it is not watched, or its verdict is not due (any more). */
export async function findWatched(db: Transaction, id: string, age: Age): Promise<WatchedRollout | null> {
  const row = await db.rolloutGuard.findUnique({
    where: { rolloutId: id },
    include: {
      rollout: {
        select: {
          status: true,
          verdict: true,
          flag: { select: { key: true } },
          rule: { select: { conditions: true } },
          _count: { select: { steps: true } },
        },
      },
    },
  });
  if (row?.watchedSince == null || !['running', 'paused'].includes(row.rollout.status)) return null;
  const [clock] = await db.$queryRaw<{ now: Date }[]>`SELECT clock_timestamp() AS now`;
  const now = clock?.now ?? new Date(NaN);
  const { verdict } = row.rollout;
  if (
    verdict?.watch === row.watch &&
    (verdict.verdict === 'crossed' || now.getTime() - verdict.computedAt.getTime() < age)
  )
    return null;
  const percentage = membersOf(row.rollout.rule.conditions)['rollout_percentage'];
  return {
    id,
    flagKey: row.rollout.flag.key,
    guard: {
      ...toRolloutGuard(row),
      steps: row.rollout._count.steps,
      watch: row.watch,
      watchedSince: row.watchedSince,
      serves: typeof percentage === 'number' && percentage > 0,
    },
    now,
  };
}

/**
 * Writes a verdict, unless there is a newer one. A crossed limit stays crossed: the test allows for repeated looks
 * because a single one decides for good.
 */
export async function saveVerdict(
  tx: Transaction,
  { id, guard, now }: WatchedRollout,
  { verdict, figures }: Judgement,
): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO rollout_verdicts AS old (rollout_id, watch, verdict, figures, computed_at)
    VALUES (${id}::uuid, ${guard.watch}, ${verdict}, ${JSON.stringify(figures)}::jsonb, ${now})
    ON CONFLICT (rollout_id) DO UPDATE SET watch = excluded.watch, verdict = excluded.verdict, figures = excluded.figures, computed_at = excluded.computed_at
    WHERE old.watch < excluded.watch OR (old.watch = excluded.watch AND old.verdict <> 'crossed' AND old.computed_at < excluded.computed_at)`;
}
