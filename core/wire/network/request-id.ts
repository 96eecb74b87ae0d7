import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** The header that carries the id of a request: to the gateway, from it to the subgraphs, and in each answer. */
export const REQUEST_ID_HEADER = 'x-request-id';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Gives the id under which the log and the audit log record a request: that of its header `x-request-id` where it is a
 * UUID, otherwise a new one.
 */
export function requestIdOf({ [REQUEST_ID_HEADER]: given }: IncomingHttpHeaders): string {
  return typeof given === 'string' && UUID.test(given) ? given : randomUUID();
}
