/**
 * OFREP, the OpenFeature Remote Evaluation Protocol: requests to program contexts, evaluations to answers.
 * Source: https://github.com/open-feature/protocol, service/openapi.yaml.
 */
import { createHash } from 'node:crypto';
import type { JsonObject, JsonValue } from '../../core/model.ts';
import type { EvaluatedFlag, ProgramContext } from '../evaluate/flag-evaluator.ts';
import { flagMetadata } from './evaluation-details.ts';
import { isObject, readFlatContext, type ReadContext } from './flat-context.ts';

export interface OfrepAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: JsonObject | null;
}

/** What OFREP needs of the agent. */
export interface FlagSource {
  evaluate(key: string, context?: ProgramContext): EvaluatedFlag | undefined;
  flagKeys(): string[];
}

/** Answers `POST /ofrep/v1/evaluate/flags/{key}`. `body` is the request's, as text. */
export function evaluateOne(source: FlagSource, key: string, body: string): OfrepAnswer {
  const context = readContext(body);
  if ('errorCode' in context) return { status: 400, body: { key, ...context } };
  const evaluated = source.evaluate(key, context.program);
  if (evaluated === undefined) {
    return { status: 404, body: { key, errorCode: 'FLAG_NOT_FOUND', errorDetails: `There is no flag "${key}".` } };
  }
  return { status: 200, body: success(key, evaluated) };
}

/**
 * Answers `POST /ofrep/v1/evaluate/flags`: every flag, with an ETag; 304 where the caller already has that answer.
 *
 * @param ifNoneMatch the request's header
 */
export function evaluateAll(source: FlagSource, body: string, ifNoneMatch: string | undefined): OfrepAnswer {
  const context = readContext(body);
  if ('errorCode' in context) return { status: 400, body: { ...context } };
  const flags: JsonObject[] = [];
  for (const key of source.flagKeys()) {
    const evaluated = source.evaluate(key, context.program);
    if (evaluated !== undefined) flags.push(success(key, evaluated));
  }
  const etag = `"${createHash('sha256').update(JSON.stringify(flags)).digest('base64url')}"`;
  const known = (ifNoneMatch ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  if (known.includes(etag) || known.includes('*')) return { status: 304, headers: { etag }, body: null };
  return { status: 200, headers: { etag }, body: { flags } };
}

function success(key: string, evaluated: EvaluatedFlag): JsonObject {
  const { value, reason, variant } = evaluated.evaluation;
  return { key, value, reason, variant, metadata: flagMetadata(evaluated) };
}

/** Reads a request's body; its context may be left out, the vehicle knows what it is. */
function readContext(body: string): ReadContext | { readonly errorCode: 'PARSE_ERROR'; readonly errorDetails: string } {
  let request: JsonValue;
  try {
    request = JSON.parse(body) as JsonValue;
  } catch {
    return { errorCode: 'PARSE_ERROR', errorDetails: 'The body is not JSON.' };
  }
  if (!isObject(request)) return { errorCode: 'INVALID_CONTEXT', errorDetails: 'The body must be an object.' };
  const { context = {} } = request;
  return readFlatContext(context);
}
