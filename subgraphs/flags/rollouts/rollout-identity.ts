/** In whose name the control plane changes a flag by itself. */
import { randomUUID } from 'node:crypto';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import type { Rollout } from './rollout.ts';

/** Who scheduled the rollout; the agent tells it from what that person did by hand. */
export function inNameOf(rollout: Rollout, part: 'scheduler' | 'guard'): CallerIdentity {
  return {
    caller: { kind: 'user', userId: rollout.scheduledById, role: 'WRITE', sessionKey: null },
    origin: { ipAddress: null, userAgent: `FleetFlag rollout ${part}`, requestId: randomUUID() },
  };
}
