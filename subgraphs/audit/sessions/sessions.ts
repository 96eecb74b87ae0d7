/**
 * The sessions of accounts: each a record under the hash of its token, which gateways read, and for each account an
 * index of them, so that all of one account can be ended at once.
 */
import { SESSION_SECONDS, newSessionToken, sessionKey, type SessionRecord } from '../../../core/credentials/session.ts';
import type { KeyValueStore } from '../../shared/stores/key-value-store.ts';
import type { User } from '../accounts/user.ts';

export interface NewSession {
  /** For the client; it is kept nowhere. */
  readonly token: string;
  /** What the session is kept under, and known by. */
  readonly key: string;
  readonly expiresAt: Date;
}

/** An entry of the index: when the session began and the key of its record. */
interface Entry {
  readonly member: string;
  readonly begunAt: Date;
  readonly key: string;
}

const indexOf = (userId: string) => `user-sessions:${userId}`;

export class Sessions {
  constructor(private readonly store: KeyValueStore) {}

  /**
   * Begins a session of 12 hours, with the role that the user has now.
   *
   * @throws SERVICE_UNAVAILABLE when it cannot be kept
   */
  async begin({ id, role }: Pick<User, 'id' | 'role'>, at: Date): Promise<NewSession> {
    const expiresAt = new Date(at.getTime() + SESSION_SECONDS * 1000);
    const token = newSessionToken();
    const key = sessionKey(token);
    const record: SessionRecord = { userId: id, role, expiresAt: expiresAt.toISOString() };
    await this.#forgetExpired(id, at);
    // The index first: a session that is not in it could not be ended with the others.
    await this.store.addMember(indexOf(id), `${at.toISOString()} ${key}`, SESSION_SECONDS);
    await this.store.set(key, JSON.stringify(record), SESSION_SECONDS);
    return { token, key, expiresAt };
  }

  /** Whether there is a session under this key. Throws SERVICE_UNAVAILABLE. */
  async exists(key: string): Promise<boolean> {
    return (await this.store.get(key)) !== null;
  }

  /** Ends one session of a user; none is no fault. Throws SERVICE_UNAVAILABLE when it cannot be said to have ended. */
  async end(userId: string, key: string): Promise<void> {
    await this.store.delete(key);
    for (const entry of await this.#entries(userId))
      if (entry.key === key) await this.store.removeMember(indexOf(userId), entry.member);
  }

  /**
   * Ends all sessions of a user.
   *
   * Whoever makes an account's sessions invalid calls this in the transaction that does so, after the account's row
   * is changed and before the commit: a sign-in that is under way has its session in the index before it asks for the
   * row's lock, so that it either is found here or finds the row changed. And while the cache is down nothing is
   * changed: an old session must not come back with the cache.
   *
   * @param begunBefore leaves those alone that began at this time or later
   * @throws SERVICE_UNAVAILABLE when not all of them can be said to have ended
   */
  async endSessionsOf(userId: string, begunBefore?: Date): Promise<void> {
    const entries = (await this.#entries(userId)).filter(
      ({ begunAt }) => begunBefore === undefined || begunAt < begunBefore,
    );
    await Promise.all(entries.map((entry) => this.#remove(userId, entry)));
  }

  /** Keeps the index of somebody who signs in all day as small as what is in use. */
  async #forgetExpired(userId: string, at: Date): Promise<void> {
    const oldest = at.getTime() - SESSION_SECONDS * 1000;
    const expired = (await this.#entries(userId)).filter(({ begunAt }) => begunAt.getTime() < oldest);
    await Promise.all(expired.map((entry) => this.#remove(userId, entry)));
  }

  /** By entry, and not the index as a whole: a session that begins meanwhile has to stay in it. */
  async #remove(userId: string, { key, member }: Entry): Promise<void> {
    await this.store.delete(key);
    await this.store.removeMember(indexOf(userId), member);
  }

  async #entries(userId: string): Promise<Entry[]> {
    return (await this.store.members(indexOf(userId))).map((member) => {
      const [begunAt = '', key = ''] = member.split(' ');
      return { member, begunAt: new Date(begunAt), key };
    });
  }
}
