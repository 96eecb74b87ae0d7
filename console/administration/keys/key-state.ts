/** The state of an API key. */
import type { KeyFragment } from '../../generated/operations.ts';

/** Gives the state of a key at a time, in milliseconds since 1970. */
export function keyState(
  { isActive, expiresAt }: Pick<KeyFragment, 'isActive' | 'expiresAt'>,
  nowMs: number,
): 'valid' | 'expired' | 'revoked' {
  if (!isActive) return 'revoked';
  return expiresAt !== null && new Date(expiresAt).getTime() <= nowMs ? 'expired' : 'valid';
}
