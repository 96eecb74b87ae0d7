/**
 * Credentials that have ended, read from the audit log. Whatever ends a credential writes its entry in the same
 * transaction, so nothing ends unrecorded, and a reader of the log misses none.
 */
import { membersOf } from '../../../core/json/json-value.ts';
import type { EndedCredential } from '../../../core/credentials/ended-credential.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { mapStream } from '../../shared/feeds/async-iteration.ts';
import type { AuditLogFeed } from '../log/audit-log-feed.ts';
import type { StoredAuditEntry } from '../log/audit-log-store.ts';
import { headPosition } from '../../shared/audit/head-position.ts';

/**
 * The most entries between two events: even without ended credentials, followers learn the position, so that they need
 * not read those entries again.
 */
const MARK_EVERY = 100;

const upTo = (position: number): EndedCredential => ({
  position,
  userId: null,
  sessionKey: null,
  apiKeyId: null,
  vin: null,
});

/** Gives the credential that an entry of the audit log ended, or null. */
export function endedBy({
  position,
  action,
  afterValue,
}: Pick<StoredAuditEntry, 'position' | 'action' | 'afterValue'>): EndedCredential | null {
  const after = membersOf(afterValue);
  const ending = (name: Exclude<keyof EndedCredential, 'position'>, value: unknown) =>
    typeof value === 'string' ? { ...upTo(position), [name]: value } : null;
  switch (action) {
    case 'UPDATE_USER':
    case 'CHANGE_PASSWORD':
      return after['endsSessions'] === true ? ending('userId', after['id']) : null;
    case 'SIGN_OUT':
      return ending('sessionKey', after['session']);
    case 'REVOKE_API_KEY':
      return ending('apiKeyId', after['id']);
    case 'REVOKE_VEHICLE_TOKENS':
      return ending('vin', after['vin']);
    default:
      return null;
  }
}

/** Streams ended credentials to gateways. */
export class EndedCredentials {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly feed: AuditLogFeed,
  ) {}

  /**
   * Streams every credential that ends after a position of the audit log, or from now on (null), in order. The first
   * event comes at once and gives the position where the stream begins. A position beyond the end (after the database
   * was restored) counts as the end.
   */
  async follow(after: number | null): Promise<AsyncIterableIterator<EndedCredential>> {
    const end = await headPosition(this.prisma);
    const begin = Math.max(0, Math.min(after ?? end, end));
    let lastMarked = begin;
    const ended = mapStream(this.feed.subscribe(begin), (entry) => {
      const event = endedBy(entry) ?? (entry.position - lastMarked >= MARK_EVERY ? upTo(entry.position) : undefined);
      if (event !== undefined) lastMarked = event.position;
      return event;
    });
    let begun = false;
    const stream: AsyncIterableIterator<EndedCredential> = {
      next() {
        if (begun) return ended.next();
        begun = true;
        return Promise.resolve({ done: false, value: upTo(begin) });
      },
      async return() {
        await ended.return?.();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]: () => stream,
    };
    return stream;
  }
}
