/** Reads, creation and changes of accounts and passwords. Their audit rows never contain a password. */
import { FleetFlagError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/model.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { appendAudit } from '../../shared/audit/audit-log.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { checkUnchangedSince } from '../../shared/subgraph/expected-update.ts';
import type { EndPlans, EndedPlans } from '../../shared/between-subgraphs/ended-plans.ts';
import { violatesUnique } from '../../shared/postgres/unique-violation.ts';
import { isUuid, type Page } from '../../../core/wire/api/pagination.ts';
import type { CreateUserInput, UpdateUserInput } from '../generated/resolvers.ts';
import { checkPassword, readCreateUser, readUpdateUser } from './account-input.ts';
import type { ReadUserFilter } from './user-filter.ts';
import type { Passwords } from '../sessions/passwords.ts';
import type { Sessions } from '../sessions/sessions.ts';
import {
  countUsers,
  findAccount,
  findAccountById,
  findUsers,
  hasOtherActiveAdministrator,
  insertUser,
  listUsers,
  lockAdministrators,
  lockUser,
  updatePassword,
  updateUser,
} from './user-store.ts';
import { normalizedEmail, type AccountDetails, type User } from './user.ts';

/** A changed account, with the plans and requests that the change has ended. */
export type ChangedUser = User & EndedPlans;

/** An account as the API shows it. Only the answer of a change lists what it has ended. */
export type ResolvedUser = User & Partial<EndedPlans>;

const DETAILS = ['name', 'role', 'department', 'isActive'] as const satisfies readonly (keyof AccountDetails)[];

const NOTHING_ENDED: EndedPlans = { cancelledChangeRequests: [], pausedRollouts: [] };

/** The use cases of accounts. */
export class Accounts {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly sessions: Sessions,
    private readonly passwords: Passwords,
    private readonly endPlans: EndPlans,
  ) {}

  /** Gives one page of the users that a filter selects, newest first. */
  users(filter: ReadUserFilter, page: Page): Promise<{ users: User[]; more: boolean }> {
    return listUsers(this.prisma, filter, page);
  }

  /** Counts the users that a filter selects. */
  userCount(filter: ReadUserFilter): Promise<number> {
    return countUsers(this.prisma, filter);
  }

  /** Gives users by id; unknown ids are left out. */
  usersById(ids: readonly string[]): Promise<User[]> {
    return findUsers(this.prisma, ids);
  }

  /**
   * Creates an account.
   *
   * @throws BAD_USER_INPUT with the path of the fault; CONFLICT when the e-mail already has an account
   */
  async create(identity: CallerIdentity, input: CreateUserInput): Promise<User> {
    const account = readCreateUser(input);
    const passwordHash = await this.passwords.hash(input.password);
    try {
      return await this.prisma.$transaction(async (tx) => {
        await lockAdministrators(tx);
        await checkStillAdministrator(tx, identity);
        const user = await insertUser(tx, account, passwordHash);
        await appendAudit(tx, identity, { action: 'CREATE_USER', after: { id: user.id, ...account } });
        return user;
      });
    } catch (error) {
      if (!violatesUnique(error)) throw error;
      throw new FleetFlagError('CONFLICT', `The e-mail ${account.email} already has an account; use another one.`, {
        field: 'input.email',
      });
    }
  }

  /**
   * Changes what `input` gives. Deactivation and a change of role end all sessions of the account, and its change
   * requests and rollouts that it no longer has the permission for. A change of nothing leaves no audit row.
   *
   * @param expectedUpdatedAt the account's `updatedAt` that the caller has seen; null: not compared
   * @throws BAD_USER_INPUT with the path of the fault; NOT_FOUND; CONFLICT for the last active administrator, and where
   * the account has changed since `expectedUpdatedAt`; SERVICE_UNAVAILABLE, having changed nothing, when sessions that
   * have to end cannot be ended
   */
  async update(
    identity: CallerIdentity,
    id: string,
    input: UpdateUserInput,
    expectedUpdatedAt?: Date | null,
  ): Promise<ChangedUser> {
    const wanted = readUpdateUser(input);
    if (!isUuid(id)) throw unknownId();
    return this.prisma.$transaction(async (tx) => {
      await lockAdministrators(tx);
      await checkStillAdministrator(tx, identity);
      const before = await lockUser(tx, id);
      if (before === null) throw unknownId();
      checkUnchangedSince('This account', before.updatedAt, expectedUpdatedAt);
      const fields = DETAILS.filter((field) => wanted[field] !== undefined && wanted[field] !== before[field]);
      if (fields.length === 0) return { ...before, ...NOTHING_ENDED };

      const after = await updateUser(tx, id, wanted);
      if (isAdministrator(before) && !isAdministrator(after) && !(await hasOtherActiveAdministrator(tx, id))) {
        throw new FleetFlagError('CONFLICT', 'This is the last active administrator; create another one first.', {
          field: after.isActive ? 'input.role' : 'input.isActive',
        });
      }
      const endsSessions = before.role !== after.role || (before.isActive && !after.isActive);
      if (endsSessions) await this.sessions.endSessionsOf(id);
      const { record, ...ended } = endsSessions
        ? await this.endPlans(tx, identity, after)
        : { ...NOTHING_ENDED, record: null };
      const only = (user: User): JsonObject => Object.fromEntries(fields.map((field) => [field, user[field]]));
      await appendAudit(tx, identity, {
        action: 'UPDATE_USER',
        before: { id, ...only(before) },
        after: { id, ...only(after), ...(endsSessions && { endsSessions, ...namesOf(ended) }) },
      });
      await record?.();
      return { ...after, ...ended };
    });
  }

  /**
   * Sets another password for an account and ends all its sessions. For people who may log in on the server.
   *
   * @throws BAD_USER_INPUT; NOT_FOUND when the e-mail has no account; SERVICE_UNAVAILABLE, having changed nothing, when
   * its sessions cannot be ended
   */
  async resetPassword(identity: CallerIdentity, email: string, password: string): Promise<User> {
    checkPassword(password, 'password');
    const passwordHash = await this.passwords.hash(password);
    return this.prisma.$transaction(async (tx) => {
      const account = await findAccount(tx, normalizedEmail(email));
      if (account === null)
        throw new FleetFlagError('NOT_FOUND', `No account has the e-mail ${email}.`, { field: 'email' });
      const { id } = account.user;
      await updatePassword(tx, id, passwordHash);
      await this.sessions.endSessionsOf(id);
      await appendAudit(tx, identity, {
        action: 'UPDATE_USER',
        after: { id, email: account.user.email, password: 'changed', endsSessions: true },
      });
      return account.user;
    });
  }
}

/** Gives only the lists that are not empty. */
const namesOf = ({ cancelledChangeRequests, pausedRollouts }: EndedPlans): JsonObject => ({
  ...(cancelledChangeRequests.length > 0 && { cancelledChangeRequests: [...cancelledChangeRequests] }),
  ...(pausedRollouts.length > 0 && { pausedRollouts: [...pausedRollouts] }),
});

const unknownId = () => new FleetFlagError('NOT_FOUND', 'This user does not exist.', { field: 'id' });

const isAdministrator = ({ role, isActive }: User) => role === 'ADMIN' && isActive;

/**
 * Checks that the calling administrator has not been removed since the gateway authenticated them: of two who remove
 * each other at once, one stays. Call it under `lockAdministrators`.
 */
async function checkStillAdministrator(tx: Transaction, { caller }: CallerIdentity): Promise<void> {
  if (caller.kind !== 'user' || caller.userId === null) return;
  const account = await findAccountById(tx, caller.userId);
  if (account === null || !isAdministrator(account.user))
    throw new FleetFlagError('FORBIDDEN', 'Only an administrator may change accounts.');
}
