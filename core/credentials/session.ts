/**
 * A user's session: an opaque random token that the client keeps, and a record under the token's hash that the
 * control plane keeps, in Redis or in process. The audit subgraph writes it, the gateway reads it.
 */
import { createHash, randomBytes } from 'node:crypto';
import { ROLES, type Role } from '../access/caller.ts';
import { isOneOf, membersOf, parseJson } from '../json/json-value.ts';

/** 12 hours (design.md, "Gateway"). */
export const SESSION_SECONDS = 12 * 3600;

const PREFIX = 'ffs_';

export interface SessionRecord {
  readonly userId: string;
  readonly role: Role;
  /** ISO 8601. */
  readonly expiresAt: string;
}

/** Reads a record as it is kept; null where it is not one. */
export function readSessionRecord(text: string): SessionRecord | null {
  const { userId, role, expiresAt } = membersOf(parseJson(text));
  const whole = typeof userId === 'string' && isOneOf(ROLES, role) && typeof expiresAt === 'string';
  return whole ? { userId, role, expiresAt } : null;
}

/** A new session token: 256 random bits, recognisable by its prefix (to secret scanners, too). */
export function newSessionToken(): string {
  return PREFIX + randomBytes(32).toString('base64url');
}

export function isSessionToken(token: string): boolean {
  return token.startsWith(PREFIX);
}

/** The key under which a token's record is kept: the token itself is never stored. */
export function sessionKey(token: string): string {
  return `session:${createHash('sha256').update(token).digest('base64url')}`;
}
