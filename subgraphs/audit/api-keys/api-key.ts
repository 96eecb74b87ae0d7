/**
 * An API key as the control plane stores it, and the checks of its input. The key's text and hash are not part of it.
 */
import { badInput } from '../../../core/errors.ts';
import { readActorName } from '../../../core/validation/text.ts';
import type { ApiKeyCredential } from '../../../core/credentials/api-key.ts';
import type { CreateApiKeyInput } from '../generated/resolvers.ts';

/** An API key without its secret. */
export interface ApiKey extends ApiKeyCredential {
  readonly name: string;
  readonly keyPrefix: string;
  readonly isActive: boolean;
  readonly lastUsedAt: Date | null;
  readonly createdById: string | null;
  readonly createdAt: Date;
}

const MAX_NAME_LENGTH = 100;
/** The operations that a key may run in a minute, unless its input says otherwise, and the most that it may say. */
const DEFAULT_RATE_LIMIT = 10_000;
const MAX_RATE_LIMIT = 1_000_000;

/**
 * Reads a new key from its input.
 *
 * @throws BAD_USER_INPUT at `input.…`
 */
export function readApiKeyInput(
  input: CreateApiKeyInput,
  now: Date,
): Pick<ApiKey, 'name' | 'role' | 'rateLimitPerMin' | 'expiresAt'> {
  const { role, expiresAt = null } = input;
  const rateLimitPerMin = input.rateLimitPerMin ?? DEFAULT_RATE_LIMIT;
  const name = readActorName(input.name, 'input.name', { what: 'A name', max: MAX_NAME_LENGTH });
  if (role === 'SAFETY')
    throw badInput(
      'input.role',
      'An API key must have the role READ, WRITE or ADMIN; SAFETY is for people, because only people may approve changes.',
    );
  if (!Number.isInteger(rateLimitPerMin) || rateLimitPerMin < 1 || rateLimitPerMin > MAX_RATE_LIMIT) {
    throw badInput('input.rateLimitPerMin', `rateLimitPerMin must be from 1 to ${MAX_RATE_LIMIT}.`);
  }
  if (expiresAt !== null && expiresAt <= now) throw badInput('input.expiresAt', 'expiresAt must be in the future.');
  return { name, role, rateLimitPerMin, expiresAt };
}
