/** The identity under which the control plane itself changes a flag. */
import { randomUUID } from 'node:crypto';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import type { Rollout } from './rollout.ts';

/**
 * Gives the identity of the person who scheduled the rollout, with a user agent that distinguishes such changes from
 * that person's own.
 */
export function inNameOf(rollout: Rollout, part: 'scheduler' | 'guard'): CallerIdentity {
  return {
    caller: { kind: 'user', userId: rollout.scheduledById, role: 'WRITE', sessionKey: null },
    origin: { ipAddress: null, userAgent: `FleetFlag rollout ${part}`, requestId: randomUUID() },
  };
}
