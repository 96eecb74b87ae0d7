/** The use cases of people's own accounts: sign in, sign out, change the password. */
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { appendAudit } from '../../shared/audit/audit-log.ts';
import { checkPassword } from '../accounts/account-input.ts';
import type { Passwords } from './passwords.ts';
import type { NewSession, Sessions } from './sessions.ts';
import type { SignInAttempt, SignInThrottle } from './sign-in-throttle.ts';
import { findAccount, findAccountById, recordSignIn, replacePassword } from '../accounts/user-store.ts';
import { normalizedEmail, type User } from '../accounts/user.ts';

/** A new session as the API gives it. */
export interface Session {
  readonly token: string;
  readonly expiresAt: Date;
  readonly user: User;
}

type Account = { readonly user: User; readonly passwordHash: string };

const credentialsEnded = () => new FleetFlagError('UNAUTHENTICATED', 'The credentials are not valid.');

/**
 * Runs a check of a password. Takes the attempt back where it throws: a full queue or an unreachable database is no
 * guess.
 */
async function counted<T>(attempt: SignInAttempt, check: () => Promise<T>): Promise<T> {
  try {
    return await check();
  } catch (error) {
    await attempt.takeBack();
    throw error;
  }
}

/** Signs people in and out. */
export class SignInService {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly sessions: Sessions,
    private readonly passwords: Passwords,
    private readonly throttle: SignInThrottle,
  ) {}

  /**
   * Signs in and begins a session of 12 hours.
   *
   * @throws UNAUTHENTICATED for an unknown e-mail, a wrong password and a deactivated account alike; RATE_LIMITED after
   * too many failures, or when too many people sign in at once; SERVICE_UNAVAILABLE when the session cannot be stored
   */
  async login(identity: CallerIdentity, givenEmail: string, password: string): Promise<Session> {
    const email = normalizedEmail(givenEmail);
    const attempt = await this.throttle.attempt(email, identity.origin.ipAddress);
    const account = await counted(attempt, async () => {
      const found = await findAccount(this.prisma, email);
      return (await this.passwords.matches(found?.passwordHash ?? null, password)) ? found : null;
    });
    if (account === null || !account.user.isActive) return this.#refuseLogin(identity, email);

    const at = new Date();
    // The session begins before the transaction, so that no sign-in is recorded without one. The caller gets the token
    // only after the commit.
    const session = await this.sessions.begin(account.user, at);
    if (!(await this.#recordSignIn(identity, account, session, at))) return this.#refuseLogin(identity, email);
    await attempt.succeeded();
    return { token: session.token, expiresAt: session.expiresAt, user: { ...account.user, lastLoginAt: at } };
  }

  /**
   * Ends the calling session, and no other.
   *
   * @throws UNAUTHENTICATED when it has ended meanwhile; FORBIDDEN for a caller without a session; SERVICE_UNAVAILABLE
   * when it cannot be ended
   */
  async logout(identity: CallerIdentity): Promise<true> {
    const { caller } = identity;
    if (caller.kind !== 'user' || caller.userId === null || caller.sessionKey === null)
      throw new FleetFlagError('FORBIDDEN', 'There is no session to end: this call was not made with a session token.');
    const { userId, sessionKey } = caller;
    if (!(await this.sessions.exists(sessionKey))) throw credentialsEnded();
    await this.prisma.$transaction(async (tx) => {
      // The row comes first: gateways close the session's sockets when they read it, so no session may end without it.
      await appendAudit(tx, identity, { action: 'SIGN_OUT', after: { session: sessionKey } });
      await this.sessions.end(userId, sessionKey);
    });
    return true;
  }

  /**
   * Changes the password of the caller's own account and ends all its sessions, the calling one included.
   *
   * @throws BAD_USER_INPUT at `new` or `current`; RATE_LIMITED as for a sign-in; CONFLICT when the account changes at
   * the same time; SERVICE_UNAVAILABLE, having changed nothing, when sessions cannot be ended
   */
  async changePassword(identity: CallerIdentity, current: string, next: string): Promise<true> {
    const { caller, origin } = identity;
    if (caller.kind !== 'user' || caller.userId === null)
      throw new FleetFlagError('FORBIDDEN', 'Only a signed-in user may change a password; API keys may not.');
    checkPassword(next, 'new');
    if (next === current) throw badInput('new', 'The new password must differ from the current one.');
    const account = await findAccountById(this.prisma, caller.userId);
    if (account === null || !account.user.isActive) throw credentialsEnded();
    const { id, email } = account.user;

    const attempt = await this.throttle.attempt(email, origin.ipAddress);
    const passwordHash = await counted(attempt, async () =>
      (await this.passwords.matches(account.passwordHash, current)) ? this.passwords.hash(next) : null,
    );
    if (passwordHash === null) {
      await this.#recordFailure(identity, email);
      throw badInput('current', 'The current password is wrong.');
    }
    await attempt.succeeded();
    await this.prisma.$transaction(async (tx) => {
      if (!(await replacePassword(tx, id, account.passwordHash, passwordHash)))
        throw new FleetFlagError('CONFLICT', 'The account was changed at the same time; try again.');
      await this.sessions.endSessionsOf(id);
      await appendAudit(tx, identity, { action: 'CHANGE_PASSWORD', after: { id, endsSessions: true } });
    });
    return true;
  }

  async #recordSignIn(
    identity: CallerIdentity,
    { user, passwordHash }: Account,
    session: NewSession,
    at: Date,
  ): Promise<boolean> {
    const { id, email, role } = user;
    let recorded = false;
    try {
      recorded = await this.prisma.$transaction(async (tx) => {
        if (!(await recordSignIn(tx, { id, role, passwordHash }, at))) return false;
        await appendAudit(tx, identity, { action: 'SIGN_IN', userId: id, after: { email } });
        return true;
      });
    } finally {
      // A session that cannot be ended here expires by itself; nobody has received its token.
      if (!recorded) await this.sessions.end(id, session.key).catch(() => undefined);
    }
    return recorded;
  }

  async #refuseLogin(identity: CallerIdentity, email: string): Promise<never> {
    await this.#recordFailure(identity, email);
    throw new FleetFlagError('UNAUTHENTICATED', 'The e-mail or the password is wrong.');
  }

  #recordFailure(identity: CallerIdentity, email: string): Promise<void> {
    return this.prisma.$transaction((tx) => appendAudit(tx, identity, { action: 'SIGN_IN_FAILED', after: { email } }));
  }
}
