/**
 * Users' sessions. The client keeps an opaque random token; the control plane keeps a record under the token's hash, in
 * Redis or in memory. The audit subgraph writes the record and the gateway reads it.
 */
import { createHash, randomBytes } from 'node:crypto';
import { ROLES, type Role } from '../access/caller.ts';
import { isOneOf, membersOf, parseJson } from '../json/json-value.ts';

/** 12 hours (design.md, "Gateway"). */
export const SESSION_SECONDS = 12 * 3600;

const PREFIX = 'ffs_';

/** The record of a session, as it is stored. */
export interface SessionRecord {
  readonly userId: string;
  readonly role: Role;
  /** The end of the session, in ISO 8601. */
  readonly expiresAt: string;
}

/** Reads a stored record; null for other JSON. Throws a SyntaxError where `text` is not JSON. */
export function readSessionRecord(text: string): SessionRecord | null {
  const { userId, role, expiresAt } = membersOf(parseJson(text));
  const whole = typeof userId === 'string' && isOneOf(ROLES, role) && typeof expiresAt === 'string';
  return whole ? { userId, role, expiresAt } : null;
}

/** Makes a new session token from 256 random bits. Its prefix lets secret scanners recognise it, too. */
export function newSessionToken(): string {
  return PREFIX + randomBytes(32).toString('base64url');
}

/** Says whether a bearer token has the prefix of session tokens. */
export function isSessionToken(token: string): boolean {
  return token.startsWith(PREFIX);
}

/** Gives the key under which a token's record is stored. It holds the token's hash; the token is never stored. */
export function sessionKey(token: string): string {
  return `session:${createHash('sha256').update(token).digest('base64url')}`;
}
