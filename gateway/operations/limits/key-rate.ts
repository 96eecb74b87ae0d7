/** Limits the rate of an API key: each operation, over HTTP or a websocket, counts as one, over all gateways. */
import { FleetFlagError } from '../../../core/errors.ts';
import type { Caller } from '../../../core/access/caller.ts';
import type { RateLimiter } from '../../../core/access/rate-limiter.ts';

/** Seconds. */
const WINDOW_SECONDS = 60;

/** The standing of a key after an operation has been counted. */
export interface KeyRate {
  /** Operations a minute. */
  readonly limit: number;
  readonly remaining: number;
  /** The minute that is counted. */
  readonly windowSeconds: number;
  /** Whole seconds until the minute is over. */
  readonly resetSeconds: number;
  /** RATE_LIMITED when this operation is one too many. */
  readonly refusal: FleetFlagError | null;
}

/** Counts an operation of `caller`; null for callers that have no such limit. */
export async function countOperation(caller: Caller, limiter: RateLimiter): Promise<KeyRate | null> {
  if (caller.kind !== 'apiKey' || caller.apiKeyId === null || caller.rateLimitPerMin === null) return null;
  const limit = caller.rateLimitPerMin;
  const { allowed, remaining, resetSeconds } = await limiter.consume(
    `api-key:${caller.apiKeyId}`,
    limit,
    WINDOW_SECONDS,
  );
  const refusal = allowed
    ? null
    : new FleetFlagError(
        'RATE_LIMITED',
        `This API key may run ${limit} operations a minute; try again in ${resetSeconds} s.`,
        { limit, retryAfter: resetSeconds },
      );
  return { limit, remaining, windowSeconds: WINDOW_SECONDS, resetSeconds, refusal };
}
