/** Reads of the audit log and of accounts (signing in: sign-in.ts). */
import { badInput } from '../../../core/errors.ts';
import { validateFlagKey } from '../../../core/validation/validate-flag.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { AUDIT_ACTIONS } from '../../shared/audit/audit-trail.ts';
import { isUuid, type Page } from '../../shared/subgraph/pagination.ts';
import { countTrail, findEntries, searchTrail, type TrailEntry, type TrailSearch } from './trail-store.ts';
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

  /** Gives one page of entries, newest first. `search` must have passed `checkTrailSearch`. */
  trail(search: TrailSearch, page: Page): Promise<{ entries: TrailEntry[]; more: boolean }> {
    return searchTrail(this.prisma, search, page);
  }

  /**
   * Counts the entries that a search finds on all pages. It reads them all, so call it only when a client selects it.
   */
  trailCount(search: TrailSearch): Promise<number> {
    return countTrail(this.prisma, search);
  }

  /** Gives entries by id; unknown ids are left out. */
  entriesById(ids: readonly string[]): Promise<TrailEntry[]> {
    return findEntries(this.prisma, ids);
  }
}

/** Throws BAD_USER_INPUT at `filter.…` for values that no entry can have. */
export function checkTrailSearch(search: TrailSearch): TrailSearch {
  const { userId, flagKey, action, from, to } = search;
  if (typeof userId === 'string' && !isUuid(userId)) throw badInput('filter.userId', 'userId is not an id.');
  if (typeof flagKey === 'string') validateFlagKey(flagKey, 'filter.flagKey');
  if (typeof action === 'string' && !AUDIT_ACTIONS.some((known) => known === action)) {
    throw badInput('filter.action', `action is one of ${AUDIT_ACTIONS.join(', ')}.`);
  }
  for (const [field, time] of [
    ['filter.from', from],
    ['filter.to', to],
  ] as const) {
    if (time && time.getTime() < 0) throw badInput(field, 'The trail does not go back beyond 1970.');
  }
  if (from && to && from > to) throw badInput('filter.to', 'to is before from.');
  return search;
}
