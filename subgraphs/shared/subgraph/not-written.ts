import { NotWritten, type NotWrittenReason } from '../../../core/async/batch-writer.ts';
import { FleetFlagError } from '../../../core/errors.ts';

/**
 * Gives the refusal of a call whose data a batch writer did not write: SERVICE_UNAVAILABLE with `retryAfter`, in
 * seconds. Gives any other error as it is.
 *
 * @param messages the message of each reason
 */
export function asRefusedWrite(error: unknown, messages: Readonly<Record<NotWrittenReason, string>>): unknown {
  if (!(error instanceof NotWritten)) return error;
  const retryAfter = Math.ceil(error.retryAfterMs / 1_000);
  return new FleetFlagError('SERVICE_UNAVAILABLE', messages[error.reason], { retryAfter }, { cause: error.cause });
}
