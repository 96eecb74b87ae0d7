/** A person with an account. The password's hash stays in the store. */
import type { Role } from '../../../core/access/caller.ts';
import { MAX_EMAIL } from './email-address.ts';

/** An account. */
export interface User {
  readonly id: string;
  /** The address in lower case. */
  readonly email: string;
  readonly name: string;
  readonly role: Role;
  readonly department: string | null;
  readonly isActive: boolean;
  readonly lastLoginAt: Date | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** The parts of an account that an administrator can change. */
export type AccountDetails = Pick<User, 'name' | 'role' | 'department' | 'isActive'>;

/**
 * Gives an e-mail address as it is stored, compared and recorded: trimmed, in lower case (no mail provider in use
 * distinguishes `Ann@` from `ann@`), cut to 255 characters, with what PostgreSQL cannot store (U+0000, half a surrogate
 * pair) replaced. Never throws: a malformed address becomes one that nobody has.
 */
export function normalizedEmail(email: string): string {
  const text = email
    .trim()
    .toLowerCase()
    .replace(/\0|\p{Surrogate}/gu, '\uFFFD');
  return Array.from(text).slice(0, MAX_EMAIL).join('');
}
