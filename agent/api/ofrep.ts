/**
 * OFREP, the OpenFeature Remote Evaluation Protocol: reads requests as program contexts and writes evaluations as
 * answers.
 * Source: https://github.com/open-feature/protocol, service/openapi.yaml (0.3.0).
 */
import { createHash } from 'node:crypto';
import type { JsonObject } from '../../core/model.ts';
import { isJsonObject, parseJson } from '../../core/json/json-value.ts';
import type { EvaluatedFlag, UncheckedContext } from '../evaluate/flag-evaluator.ts';
import { flagMetadata, NOT_READY_MESSAGE } from './evaluation-details.ts';
import { readFlatContext } from './flat-context.ts';

/** An answer of the local API: its HTTP status, headers and JSON body. */
export interface LocalAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: JsonObject | null;
}

/** The parts of the agent that OFREP needs. */
export interface FlagSource {
  /** Whether flags can be evaluated. */
  readonly isReady: boolean;
  evaluate(key: string, context?: UncheckedContext | null): EvaluatedFlag | undefined;
  flagKeys(): string[];
}

/** Answers `POST /ofrep/v1/evaluate/flags/{key}`. `body` is the body of the request as text. */
export function evaluateOne(source: FlagSource, key: string, body: string): LocalAnswer {
  const request = readRequest(body);
  if (request === null) return { status: 400, body: { key, ...NOT_JSON } };
  if (!source.isReady) return { ...NOT_READY, body: { key, ...NOT_READY.body } };
  const evaluated = source.evaluate(key, request.program);
  if (evaluated === undefined) {
    return {
      status: 404,
      body: { key, errorCode: 'FLAG_NOT_FOUND', errorDetails: `There is no flag ${JSON.stringify(key)}.` },
    };
  }
  return { status: 200, body: success(key, evaluated) };
}

/**
 * Answers `POST /ofrep/v1/evaluate/flags` with all flags and an ETag, or with 304 where the client has that answer.
 *
 * @param ifNoneMatch the request's header
 * @param eventsUrl the address of the event stream that announces changes
 */
export function evaluateAll(
  source: FlagSource,
  body: string,
  ifNoneMatch: string | undefined,
  eventsUrl: string,
): LocalAnswer {
  const request = readRequest(body);
  if (request === null) return { status: 400, body: NOT_JSON };
  if (!source.isReady) return NOT_READY;
  const flags: JsonObject[] = [];
  for (const key of source.flagKeys()) {
    const evaluated = source.evaluate(key, request.program);
    if (evaluated !== undefined) flags.push(success(key, evaluated));
  }
  const etag = `"${createHash('sha256').update(JSON.stringify(flags)).digest('base64url')}"`;
  const known = (ifNoneMatch ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  if (known.includes(etag) || known.includes('*')) return { status: 304, headers: { etag }, body: null };
  return { status: 200, headers: { etag }, body: { flags, eventStreams: [{ type: 'sse', url: eventsUrl }] } };
}

const NOT_JSON = { errorCode: 'PARSE_ERROR', errorDetails: 'The body must be JSON.' };

/**
 * The answer of an agent that is not ready. After 200 or 404, stock providers would be READY with the programs' own
 * defaults; after 500, the web provider would not fall back to its cache.
 */
export const NOT_READY = {
  status: 503,
  headers: { 'retry-after': '1' },
  body: { errorCode: 'PROVIDER_NOT_READY', errorDetails: NOT_READY_MESSAGE },
};

function success(key: string, evaluated: EvaluatedFlag): JsonObject {
  const { value, reason, variant } = evaluated.evaluation;
  return { key, value, reason, variant, metadata: flagMetadata(evaluated) };
}

/** Reads the body of a request; null where it is not JSON. The context may be absent: the vehicle has its own facts. */
function readRequest(body: string): { readonly program: UncheckedContext } | null {
  try {
    const request = parseJson(body);
    return { program: readFlatContext(isJsonObject(request) ? request['context'] : undefined) };
  } catch {
    return null;
  }
}
