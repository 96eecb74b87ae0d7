/**
 * Decides whether a process goes on after a failure that no code has handled
 * (docs/decisions/processes/last-handler.md).
 */
import { errorCode } from '../caught-error.ts';

/** The events of a process for failures that no code has handled. */
export const UNFORESEEN = ['unhandledRejection', 'uncaughtException'] as const;
/** The kind of a failure that no code has handled. */
export type Unforeseen = (typeof UNFORESEEN)[number];

/**
 * The codes of errors of broken connections and pipes, and of writes to them. They leave no half-changed state in this
 * process.
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
 * Says whether a process goes on after `error`. A rejection has ended one piece of asynchronous work, at a place where
 * it waited for something. An exception may have ended a callback halfway through a change of state, so it ends the
 * process, unless it comes from a broken connection.
 */
export function processGoesOn(kind: Unforeseen, error: unknown): boolean {
  if (kind === 'unhandledRejection') return true;
  const code = errorCode(error);
  return code !== undefined && BROKEN_OFF.has(code);
}
