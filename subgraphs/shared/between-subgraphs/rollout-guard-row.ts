/** The row of a rollout's guard. The flags subgraph stores it, and the experiments subgraph reads it. */
import type { GuardDirection, RolloutGuard } from '../../../core/rollouts/rollout-guard.ts';
import type { Prisma } from '../../../prisma/generated/client.ts';

/** Maps a stored row to the domain's rollout guard. */
export function toRolloutGuard(row: Prisma.RolloutGuardGetPayload<object>): RolloutGuard {
  return {
    metric: row.metric,
    worse: row.worse as GuardDirection,
    maxWorsePercent: row.maxWorsePercent,
    bound: row.bound,
    confidenceLevel: row.confidenceLevel.toNumber(),
    minimumVehicles: row.minimumVehicles,
    silence: Number(row.silenceMs),
    watchFor: Number(row.watchForMs),
  };
}
