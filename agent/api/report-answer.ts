/** Answers the requests by which programs report something: they have an object as their body, and get no content. */
import { FleetFlagError } from '../../core/errors.ts';
import { isJsonObject, parseJson } from '../../core/json/json-value.ts';
import type { JsonObject, JsonValue } from '../../core/model.ts';
import { NOT_READY, type LocalAnswer } from './ofrep.ts';

/** Reads the members of a body. Gives the refusal where it is no JSON object. */
function readMembers(body: string): { readonly members: JsonObject } | { readonly refusal: LocalAnswer } {
  let request: JsonValue;
  try {
    request = parseJson(body);
  } catch {
    return { refusal: refused(400, 'PARSE_ERROR', 'The body must be JSON.') };
  }
  if (isJsonObject(request)) return { members: request };
  return { refusal: refused(400, 'PARSE_ERROR', 'The body must be an object.') };
}

/** Gives the answer to a FleetFlagError. Throws any other error. */
function refusalFor(error: unknown): LocalAnswer {
  if (!(error instanceof FleetFlagError)) throw error;
  if (error.code === 'SERVICE_UNAVAILABLE') return NOT_READY;
  return refused(error.code === 'NOT_FOUND' ? 404 : 400, error.code, error.message, error.details.field);
}

/**
 * Answers with 202 where `accept` has taken the members of the body; otherwise with 400, 404 or (not ready) 503, with
 * `errorCode`, `errorDetails` and `field`.
 *
 * @param accept takes the members; throws a FleetFlagError where one is wrong
 */
export function answerReport(body: string, accept: (members: JsonObject) => void): LocalAnswer {
  const read = readMembers(body);
  if ('refusal' in read) return read.refusal;
  try {
    accept(read.members);
  } catch (error) {
    return refusalFor(error);
  }
  return { status: 202, body: null };
}

/**
 * Answers as `answerReport` does, but with 204 when what was reported has taken effect.
 *
 * @param apply resolves when the members have taken effect; rejects with a FleetFlagError where one is wrong
 */
export async function answerApplied(body: string, apply: (members: JsonObject) => Promise<void>): Promise<LocalAnswer> {
  const read = readMembers(body);
  if ('refusal' in read) return read.refusal;
  try {
    await apply(read.members);
  } catch (error) {
    return refusalFor(error);
  }
  return { status: 204, body: null };
}

function refused(status: number, errorCode: string, errorDetails: string, field?: string): LocalAnswer {
  return { status, body: { errorCode, errorDetails, ...(field !== undefined && { field }) } };
}
