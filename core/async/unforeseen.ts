/** What a process does about a failure that nothing in it has foreseen (docs/decisions/last-handler.md). */
import { errorCode } from '../caught-error.ts';

export const UNFORESEEN = ['unhandledRejection', 'uncaughtException'] as const;
export type Unforeseen = (typeof UNFORESEEN)[number];

/**
 * Codes of connections and pipes that broke off, and of what was still written to them: no state of ours was being
 * changed.
 */
const BROKEN_OFF = new Set([
  'EPIPE',
  'ECONNRESET',
  'ECONNABORTED',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTCONN',
  'ERR_STREAM_DESTROYED',
  'ERR_STREAM_WRITE_AFTER_END',
]);

/**
 * Whether a process goes on after `error`. A rejection has ended one piece of asynchronous work, at a place where it
 * waited for something. An exception has ended a callback anywhere, and left behind what it was about: it ends the
 * process, unless it is a connection that broke off.
 */
export function mayGoOn(kind: Unforeseen, error: unknown): boolean {
  if (kind === 'unhandledRejection') return true;
  const code = errorCode(error);
  return code !== undefined && BROKEN_OFF.has(code);
}
