/**
 * OFREP, the OpenFeature Remote Evaluation Protocol: requests to program contexts, evaluations to answers.
 * Source: https://github.com/open-feature/protocol, service/openapi.yaml.
 */
import { createHash } from 'node:crypto';
import type { JsonObject, JsonValue } from '../../core/model.ts';
import type { EvaluatedFlag, ProgramContext } from '../evaluate/flag-evaluator.ts';
import { flagMetadata } from './evaluation-details.ts';

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

type ReadContext = { readonly program: ProgramContext } | { readonly errorCode: 'PARSE_ERROR' | 'INVALID_CONTEXT'; readonly errorDetails: string };

/**
 * An OFREP context is flat; `model`, `swVersion` and `region` are the vehicle's facts, and everything else, beside
 * what an `attributes` object holds, is an attribute. `targetingKey` and `vin` name no other vehicle: they stay
 * attributes, and the vehicle keeps its own VIN.
 */
function readContext(body: string): ReadContext {
  let request: JsonValue;
  try {
    request = JSON.parse(body) as JsonValue;
  } catch {
    return { errorCode: 'PARSE_ERROR', errorDetails: 'The body is not JSON.' };
  }
  const invalid = (errorDetails: string): ReadContext => ({ errorCode: 'INVALID_CONTEXT', errorDetails });
  if (!isObject(request)) return invalid('The body must be an object.');
  const { context = {} } = request;
  if (!isObject(context)) return invalid('"context" must be an object.');
  const { model, swVersion, region, attributes = {}, ...others } = context;
  if (!isObject(attributes)) return invalid('"context.attributes" must be an object.');
  for (const [name, value] of Object.entries({ model, swVersion, region })) {
    if (value !== undefined && typeof value !== 'string') return invalid(`"context.${name}" must be a string.`);
  }
  return {
    program: {
      model: model as string | undefined,
      swVersion: swVersion as string | undefined,
      region: region as string | undefined,
      attributes: { ...others, ...attributes },
    },
  };
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
