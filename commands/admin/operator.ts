/** The identity for actions on the server itself by a person who may log in there, without an account. */
import { randomUUID } from 'node:crypto';
import type { CallerIdentity } from '../../core/access/caller.ts';
import { ADMIN_USER_AGENT } from './acting-person.ts';

/** Gives that identity, with a new request id. */
export function operatorOnServer(): CallerIdentity {
  return {
    caller: { kind: 'anonymous' },
    origin: { ipAddress: null, userAgent: ADMIN_USER_AGENT, requestId: randomUUID() },
  };
}
