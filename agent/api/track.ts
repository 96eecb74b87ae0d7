/** Answers `POST /v1/track`, by which a program in any language reports a measurement. */
import { FleetFlagError } from '../../core/errors.ts';
import type { JsonValue } from '../../core/model.ts';
import { isJsonObject, parseJson } from '../../core/json/json-value.ts';
import { NOT_READY, type OfrepAnswer } from './ofrep.ts';

/** The part of the agent that the endpoint needs. */
export interface Tracker {
  /** Records a measurement. Throws a FleetFlagError where an argument is invalid. */
  track(metric: unknown, value: number, options: { readonly flagKey: string; readonly tags?: unknown }): void;
}

/**
 * Answers a request with the body `{"metric", "value", "flagKey", "tags"?}`: 202 when the measurement is recorded;
 * otherwise 400, 404 or (not ready) 503 with `errorCode`, `errorDetails` and `field`.
 */
export function track(tracker: Tracker, body: string): OfrepAnswer {
  let request: JsonValue;
  try {
    request = parseJson(body);
  } catch {
    return refused(400, 'PARSE_ERROR', 'The body is not JSON.');
  }
  if (!isJsonObject(request)) return refused(400, 'PARSE_ERROR', 'The body must be an object.');
  const { metric, value, flagKey, tags = null } = request;
  if (typeof value !== 'number') return refused(400, 'BAD_USER_INPUT', 'A value must be a finite number.', 'value');
  if (typeof flagKey !== 'string') return refused(400, 'BAD_USER_INPUT', 'A flag key must be a string.', 'flagKey');
  try {
    tracker.track(metric, value, { flagKey, tags: tags ?? undefined });
  } catch (error) {
    if (!(error instanceof FleetFlagError)) throw error;
    if (error.code === 'SERVICE_UNAVAILABLE') return NOT_READY;
    return refused(error.code === 'NOT_FOUND' ? 404 : 400, error.code, error.message, error.details.field);
  }
  return { status: 202, body: null };
}

function refused(status: number, errorCode: string, errorDetails: string, field?: string): OfrepAnswer {
  return { status, body: { errorCode, errorDetails, ...(field !== undefined && { field }) } };
}
