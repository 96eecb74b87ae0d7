/** Signing in: e-mail and password for a session. */
import { FleetFlagError } from '../../core/errors.ts';
import type { CallerIdentity } from '../../core/protocol/caller.ts';
import { SESSION_SECONDS, newSessionToken, sessionKey, type SessionRecord } from '../../core/protocol/session.ts';
import type { PrismaClient } from '../../prisma/generated/client.ts';
import { appendAudit } from '../shared/audit-trail.ts';
import type { KeyValueStore } from '../shared/key-value-store.ts';
import type { Passwords } from './passwords.ts';
import { findAccount, recordSignIn } from './user-store.ts';
import { normalizedEmail, type User } from './user.ts';

export interface Session {
  readonly token: string;
  readonly expiresAt: Date;
  readonly user: User;
}

export class SignInService {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly sessions: KeyValueStore,
    private readonly passwords: Passwords,
  ) {}

  /**
   * A session of 12 hours.
   *
   * @throws UNAUTHENTICATED for an unknown e-mail, a wrong password and a deactivated account alike; RATE_LIMITED when
   * too many sign in at once; SERVICE_UNAVAILABLE when the session cannot be kept
   */
  async login(identity: CallerIdentity, givenEmail: string, password: string): Promise<Session> {
    const email = normalizedEmail(givenEmail);
    const account = await findAccount(this.prisma, email);
    const matches = await this.passwords.matches(account?.passwordHash ?? null, password);
    if (account === null || !matches || !account.user.isActive) return this.#refuse(identity, email);

    const { user } = account;
    const at = new Date();
    const expiresAt = new Date(at.getTime() + SESSION_SECONDS * 1000);
    const token = newSessionToken();
    const record: SessionRecord = { userId: user.id, role: user.role, expiresAt: expiresAt.toISOString() };
    // Before the transaction, so that no sign-in is recorded that gave no session. Until it commits nobody has the token.
    await this.sessions.set(sessionKey(token), JSON.stringify(record), SESSION_SECONDS);
    let signedIn = false;
    try {
      signedIn = await this.prisma.$transaction(async (tx) => {
        if (!(await recordSignIn(tx, user.id, at))) return false;
        await appendAudit(tx, identity, { action: 'SIGN_IN', userId: user.id, after: { email } });
        return true;
      });
    } finally {
      // A session that cannot be taken back ends by itself; its token has gone to nobody.
      if (!signedIn) await this.sessions.delete(sessionKey(token)).catch(() => undefined);
    }
    if (!signedIn) return this.#refuse(identity, email);
    return { token, expiresAt, user: { ...user, lastLoginAt: at } };
  }

  async #refuse(identity: CallerIdentity, email: string): Promise<never> {
    await this.prisma.$transaction((tx) => appendAudit(tx, identity, { action: 'SIGN_IN_FAILED', after: { email } }));
    throw new FleetFlagError('UNAUTHENTICATED', 'E-mail or password is wrong.');
  }
}
