/**
 * The sessions of accounts. Each is a record under its token's hash, which gateways read. For each account there is an
 * index of its sessions, so that all of them can be ended at once.
 */
import { SESSION_SECONDS, newSessionToken, sessionKey, type SessionRecord } from '../../../core/credentials/session.ts';
import type { KeyValueStore } from '../../shared/stores/key-value-store.ts';
import type { User } from '../accounts/user.ts';

/** A session that has just begun. */
export interface NewSession {
  /** The token for the client; it is stored nowhere. */
  readonly token: string;
  /** The key of the session's record, which also identifies the session. */
  readonly key: string;
  readonly expiresAt: Date;
}

/** An entry of the index: the time when the session began and the key of its record. */
interface Entry {
  readonly member: string;
  readonly begunAt: Date;
  readonly key: string;
}

const indexOf = (userId: string) => `user-sessions:${userId}`;

/** Begins and ends sessions. */
export class Sessions {
  constructor(private readonly store: KeyValueStore) {}

  /**
   * Begins a session of 12 hours, with the user's current role.
   *
   * @throws SERVICE_UNAVAILABLE when it cannot be stored
   */
  async begin({ id, role }: Pick<User, 'id' | 'role'>, at: Date): Promise<NewSession> {
    const expiresAt = new Date(at.getTime() + SESSION_SECONDS * 1000);
    const token = newSessionToken();
    const key = sessionKey(token);
    const record: SessionRecord = { userId: id, role, expiresAt: expiresAt.toISOString() };
    await this.#forgetExpired(id, at);
    // The index is written first: a session that is missing in it could not be ended with the others.
    await this.store.addMember(indexOf(id), `${at.toISOString()} ${key}`, SESSION_SECONDS);
    await this.store.set(key, JSON.stringify(record), SESSION_SECONDS);
    return { token, key, expiresAt };
  }

  /** Checks whether there is a session under this key. Throws SERVICE_UNAVAILABLE. */
  async exists(key: string): Promise<boolean> {
    return (await this.store.get(key)) !== null;
  }

  /**
   * Ends one session of a user; a missing session is no fault. Throws SERVICE_UNAVAILABLE when its end cannot be
   * confirmed.
   */
  async end(userId: string, key: string): Promise<void> {
    await this.store.delete(key);
    for (const entry of await this.#entries(userId))
      if (entry.key === key) await this.store.removeMember(indexOf(userId), entry.member);
  }

  /**
   * Ends all sessions of a user.
   *
   * Call it in the transaction that makes the sessions invalid, after the account's row is changed and before the
   * commit. A concurrent sign-in adds its session to the index before it locks that row, so the session is either found
   * here, or the sign-in finds the row changed. While the store is down the transaction fails and nothing changes: an
   * old session must not come back with the store.
   *
   * @param begunBefore keeps sessions that began at this time or later
   * @throws SERVICE_UNAVAILABLE when the end of all of them cannot be confirmed
   */
  async endSessionsOf(userId: string, begunBefore?: Date): Promise<void> {
    const entries = (await this.#entries(userId)).filter(
      ({ begunAt }) => begunBefore === undefined || begunAt < begunBefore,
    );
    await Promise.all(entries.map((entry) => this.#remove(userId, entry)));
  }

  /** Removes expired entries, so that the index of somebody who signs in all day stays small. */
  async #forgetExpired(userId: string, at: Date): Promise<void> {
    const oldest = at.getTime() - SESSION_SECONDS * 1000;
    const expired = (await this.#entries(userId)).filter(({ begunAt }) => begunAt.getTime() < oldest);
    await Promise.all(expired.map((entry) => this.#remove(userId, entry)));
  }

  /** Removes one entry and not the whole index: a session that begins meanwhile must stay in it. */
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
