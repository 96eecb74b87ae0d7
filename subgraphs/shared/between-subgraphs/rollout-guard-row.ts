/** The row of a rollout's guard. The flags subgraph stores it, and the experiments subgraph reads it. */
import { GUARD_DIRECTIONS, type RolloutGuard } from '../../../core/rollouts/rollout-guard.ts';
import type { Prisma } from '../../../prisma/generated/client.ts';
import { oneOf } from '../postgres/column-values.ts';

/** Maps a stored row to the domain's rollout guard. */
const readDirection = oneOf('rollout_guards.worse', GUARD_DIRECTIONS);

/** Maps a row of rollout_guards to the domain type. */
export function toRolloutGuard(row: Prisma.RolloutGuardGetPayload<object>): RolloutGuard {
  return {
    metric: row.metric,
    worse: readDirection(row.worse),
    maxWorsePercent: row.maxWorsePercent,
    bound: row.bound,
    confidenceLevel: row.confidenceLevel.toNumber(),
    minimumVehicles: row.minimumVehicles,
    silence: Number(row.silenceMs),
    watchFor: Number(row.watchForMs),
  };
}
