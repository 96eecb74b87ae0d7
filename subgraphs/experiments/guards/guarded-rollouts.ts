/**
 * The rollouts that are watched, read from the flags subgraph's tables, and this subgraph's own tables of verdicts and
 * evidence. docs/decisions/data/reading-another-subgraphs-table.md says why this is a statement and not a call.
 */
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { toRolloutGuard } from '../../shared/between-subgraphs/rollout-guard-row.ts';
import { ownConditions } from '../../../core/evaluation/segments/segment.ts';
import { parsePercentageRollout } from '../../../core/evaluation/rules/percentage-rollout.ts';
import { parseJson } from '../../../core/json/json-value.ts';
import { jsonColumn, storedJson } from '../../shared/postgres/column-values.ts';
import { findDefinition } from '../definitions/definition-store.ts';
import { keepLook } from './guard-history.ts';
import { storedState, type GuardState } from './guard-evidence.ts';
import type { GuardJudgement } from './guard-verdict.ts';
import type { AgeMs, Guarded, WatchedGuard } from './watched-guard.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';

/** A watched rollout with what its verdict needs. */
export interface WatchedRollout extends WatchedGuard {
  readonly id: string;
}

/**
 * Finds the rollouts whose verdicts are due, the oldest verdict first. A rollout whose limit is crossed needs no more.
 */
async function dueForVerdict(db: PrismaClient, age: AgeMs): Promise<string[]> {
  const rows = await rowsOf(db, { id: is.string })`
    SELECT r.id FROM rollouts r JOIN rollout_guards g ON g.rollout_id = r.id LEFT JOIN rollout_verdicts v ON v.rollout_id = r.id AND v.watch = g.watch
    WHERE r.status IN ('running', 'paused') AND g.watched_since IS NOT NULL
      AND (v.verdict IS NULL OR (v.verdict <> 'crossed' AND v.computed_at <= clock_timestamp() - make_interval(secs => ${age}::float8 / 1000)))
    ORDER BY v.computed_at NULLS FIRST`;
  return rows.map(({ id }) => id);
}

/** Reads a watched rollout; null when it is not watched, or its verdict is not due, or no longer. */
async function findWatched(db: Transaction, id: string, age: AgeMs): Promise<WatchedRollout | null> {
  const row = await db.rolloutGuard.findUnique({
    where: { rolloutId: id },
    include: {
      rollout: {
        select: {
          status: true,
          verdict: true,
          evidence: true,
          flag: { select: { key: true } },
          rule: { select: { conditions: true } },
        },
      },
    },
  });
  if (row?.watchedSince == null || !['running', 'paused'].includes(row.rollout.status)) return null;
  const [clock] = await rowsOf(db, { now: is.date })`SELECT clock_timestamp() AS now`;
  const now = clock?.now ?? new Date(NaN);
  const { verdict } = row.rollout;
  if (
    verdict?.watch === row.watch &&
    (verdict.verdict === 'crossed' || now.getTime() - verdict.computedAt.getTime() < age)
  )
    return null;
  const flagKey = row.rollout.flag.key;
  const { threshold, salt = flagKey } = parsePercentageRollout(
    ownConditions(storedJson(row.rollout.rule.conditions)),
    'conditions',
  );
  return {
    id,
    flagKey,
    guard: { ...toRolloutGuard(row), watch: row.watch, watchedSince: row.watchedSince, serves: threshold > 0 },
    definition: await findDefinition(db, row.metric),
    salt,
    threshold,
    state: storedState(row.rollout.evidence?.state),
    now,
  };
}

/** Writes what a guard has gathered. The caller holds the rollout's advisory lock, so that no look is lost. */
async function saveState(tx: Transaction, { id, now }: WatchedRollout, state: GuardState): Promise<void> {
  const columns = { state: jsonColumn(parseJson(JSON.stringify(state))), updatedAt: now };
  await tx.rolloutEvidence.upsert({
    where: { rolloutId: id },
    create: { rolloutId: id, ...columns },
    update: columns,
  });
}

/**
 * Writes a verdict, unless there is a newer one. A crossed limit stays crossed: the test allows for repeated looks
 * because a single one decides for good.
 */
async function saveVerdict(
  tx: Transaction,
  { id, guard, now }: WatchedRollout,
  { verdict, figures }: GuardJudgement,
): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO rollout_verdicts AS old (rollout_id, watch, verdict, figures, computed_at)
    VALUES (${id}::uuid, ${guard.watch}, ${verdict}, ${JSON.stringify(figures)}::jsonb, ${now})
    ON CONFLICT (rollout_id) DO UPDATE SET watch = excluded.watch, verdict = excluded.verdict, figures = excluded.figures, computed_at = excluded.computed_at
    WHERE old.watch < excluded.watch OR (old.watch = excluded.watch AND old.verdict <> 'crossed' AND old.computed_at < excluded.computed_at)`;
}

/** The guards of rollouts. */
export const GUARDED_ROLLOUTS: Guarded = {
  name: 'rollout',
  due: dueForVerdict,
  async judge(tx, id, age, look) {
    const watched = await findWatched(tx, id, age);
    if (watched === null) return false;
    const { state, judgement } = await look(watched);
    await saveState(tx, watched, state);
    await saveVerdict(tx, watched, judgement);
    await keepLook(tx, watched, judgement);
    return true;
  },
};
