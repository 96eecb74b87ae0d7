/** Reads of the audit log. */
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import { validateFlagKey } from '../../../core/validation/validate-flag.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { AUDIT_ACTIONS } from '../../shared/audit/audit-log.ts';
import type { LaggingReads } from '../../shared/postgres/replica-reads.ts';
import { isUuid, type Page } from '../../../core/wire/api/pagination.ts';
import {
  countAuditLog,
  findEntries,
  searchAuditLog,
  type AuditLogPage,
  type AuditLogSearch,
  type StoredAuditEntry,
} from './audit-log-store.ts';
import { findPeople } from '../accounts/user-store.ts';
import { readPersonPart } from '../accounts/user-filter.ts';
import type { AuditLogFilter } from '../generated/resolvers.ts';

/** Reads the audit log. */
export class AuditLogService {
  /** @param lagging the reads that may lag behind the primary; by default they read at it */
  constructor(
    private readonly prisma: PrismaClient,
    private readonly lagging: LaggingReads = { read: (work) => work(prisma) },
  ) {}

  /**
   * Reads a filter of the audit log, with the people whose name or e-mail has the part `person`.
   *
   * @throws as `checkAuditLogSearch`; at `filter.person` BAD_USER_INPUT for a blank or too long part, and FORBIDDEN
   *   to a key that may not read people's data
   */
  async readSearch({ caller }: CallerIdentity, { person = null, ...given }: AuditLogFilter): Promise<AuditLogSearch> {
    const search = checkAuditLogSearch(given);
    if (person === null) return search;
    if (caller.kind === 'apiKey' && caller.role !== 'ADMIN')
      throw new FleetFlagError('FORBIDDEN', 'This key may not search by people; filter by userId.', {
        field: 'filter.person',
      });
    return { ...search, userIds: await findPeople(this.prisma, readPersonPart(person, 'filter.person')) };
  }

  /** Gives one page of entries, newest first. `search` must have come from `readSearch`. */
  auditLogPage(search: AuditLogSearch, page: Page): Promise<AuditLogPage> {
    return this.lagging.read((db) => searchAuditLog(db, search, page));
  }

  /**
   * Counts the entries that a search finds on all pages. It reads them all, so call it only when a client selects it.
   */
  auditLogCount(search: AuditLogSearch): Promise<number> {
    return this.lagging.read((db) => countAuditLog(db, search));
  }

  /** Gives entries by id; unknown ids are left out. */
  entriesById(ids: readonly string[]): Promise<StoredAuditEntry[]> {
    return findEntries(this.prisma, ids);
  }
}

/** Throws BAD_USER_INPUT at `filter.…` for values that no entry can have. */
function checkAuditLogSearch(search: AuditLogSearch): AuditLogSearch {
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
