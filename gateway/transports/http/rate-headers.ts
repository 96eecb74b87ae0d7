import type { KeyRate } from '../../operations/limits/key-rate.ts';

/**
 * Gives the header fields of draft-ietf-httpapi-ratelimit-headers-06, and Retry-After (RFC 9110, section 10.2.3) on a
 * refusal.
 */
export function rateHeaders({
  limit,
  remaining,
  windowSeconds,
  resetSeconds,
  refusal,
}: KeyRate): Record<string, string> {
  return {
    'ratelimit-limit': `${limit}`,
    'ratelimit-remaining': `${remaining}`,
    'ratelimit-reset': `${resetSeconds}`,
    'ratelimit-policy': `${limit};w=${windowSeconds}`,
    ...(refusal !== null && { 'retry-after': `${resetSeconds}` }),
  };
}
