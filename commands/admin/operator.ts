/** The trail's entry for what is done on the server itself by whoever may log in there, and by no account. */
import { randomUUID } from 'node:crypto';
import type { CallerIdentity } from '../../core/access/caller.ts';
import { ADMIN_USER_AGENT } from './acting-person.ts';

export function operatorOnServer(): CallerIdentity {
  return {
    caller: { kind: 'anonymous' },
    origin: { ipAddress: null, userAgent: ADMIN_USER_AGENT, requestId: randomUUID() },
  };
}
