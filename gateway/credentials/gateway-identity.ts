import { randomUUID } from 'node:crypto';
import type { CallerIdentity } from '../../core/access/caller.ts';

/** Gives the identity with which the gateway calls a subgraph on its own behalf. */
export function gatewayIdentity(): CallerIdentity {
  return { caller: { kind: 'gateway' }, origin: { ipAddress: null, userAgent: null, requestId: randomUUID() } };
}
