/** Reads of the audit log and of accounts (signing in: sign-in.ts). */
import { badInput } from '../../../core/errors.ts';
import { validateFlagKey } from '../../../core/validation/validate-flag.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { AUDIT_ACTIONS } from '../../shared/audit/audit-log.ts';
import { isUuid, type Page } from '../../../core/wire/pagination.ts';
import {
  countAuditLog,
  findEntries,
  searchAuditLog,
  type AuditLogPage,
  type AuditLogSearch,
  type StoredAuditEntry,
} from './audit-log-store.ts';
import { countUsers, findUsers, listUsers } from '../accounts/user-store.ts';
import type { User } from '../accounts/user.ts';

/** The use cases that read. */
export class AuditService {
  constructor(private readonly prisma: PrismaClient) {}

  /** Gives one page of users, newest first. */
  users(page: Page): Promise<{ users: User[]; more: boolean }> {
    return listUsers(this.prisma, page);
  }

  /** Counts all users. */
  userCount(): Promise<number> {
    return countUsers(this.prisma);
  }

  /** Gives users by id; unknown ids are left out. */
  usersById(ids: readonly string[]): Promise<User[]> {
    return findUsers(this.prisma, ids);
  }

  /** Gives one page of entries, newest first. `search` must have passed `checkAuditLogSearch`. */
  trail(search: AuditLogSearch, page: Page): Promise<AuditLogPage> {
    return searchAuditLog(this.prisma, search, page);
  }

  /**
   * Counts the entries that a search finds on all pages. It reads them all, so call it only when a client selects it.
   */
  auditLogCount(search: AuditLogSearch): Promise<number> {
    return countAuditLog(this.prisma, search);
  }

  /** Gives entries by id; unknown ids are left out. */
  entriesById(ids: readonly string[]): Promise<StoredAuditEntry[]> {
    return findEntries(this.prisma, ids);
  }
}

/** Throws BAD_USER_INPUT at `filter.…` for values that no entry can have. */
export function checkAuditLogSearch(search: AuditLogSearch): AuditLogSearch {
  const { userId, flagKey, action, from, to } = search;
  if (typeof userId === 'string' && !isUuid(userId))
    throw badInput('filter.userId', 'userId must be the id of a user, a UUID.');
  if (typeof flagKey === 'string') validateFlagKey(flagKey, 'filter.flagKey');
  if (typeof action === 'string' && !AUDIT_ACTIONS.some((known) => known === action)) {
    throw badInput('filter.action', `action must be one of ${AUDIT_ACTIONS.join(', ')}.`);
  }
  for (const [field, time] of [
    ['filter.from', from],
    ['filter.to', to],
  ] as const) {
    if (time && time.getTime() < 0)
      throw badInput(field, 'The audit log does not go back before 1970; choose a later time.');
  }
  if (from && to && from > to) throw badInput('filter.to', 'to must not be before from.');
  return search;
}
