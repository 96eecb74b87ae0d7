/** The row of a rollout's guard, as both the subgraph that keeps it and the one that watches read it. */
import type { GuardDirection, RolloutGuard } from '../../../core/rollouts/rollout-guard.ts';
import type { Prisma } from '../../../prisma/generated/client.ts';

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
