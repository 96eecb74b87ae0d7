/**
 * Ends sessions of this process's own store when the audit log says that they are over. A process that shares the store
 * has already ended them there; this is for the in-memory store of a process whose account was changed by another one
 * (`npm run admin -- reset-password` beside `npm start`).
 */
import type { Logger } from 'pino';
import { Poller } from '../../../core/async/poller.ts';
import { unattended } from '../../../core/last-handler/unattended.ts';
import { endedBy } from './ended-credentials.ts';
import type { Sessions } from './sessions.ts';
import type { AuditLogFeed } from '../log/audit-log-feed.ts';

/** Milliseconds before the audit log is followed again after a failure. */
const RETRY_INTERVAL_MS = 1_000;

/** Follows the audit log and ends sessions. */
export class SessionEnding {
  readonly #poller = new Poller(() => this.#follow());
  #stream: ReturnType<AuditLogFeed['subscribe']> | undefined;
  #position: number | 'now' = 'now';

  constructor(
    private readonly feed: AuditLogFeed,
    private readonly sessions: Sessions,
    private readonly logger: Logger,
  ) {}

  /** Follows the audit log from now on, until `close`. */
  start(): void {
    unattended(this.#poller.start(), 'Ending sessions');
  }

  /** Stops following. */
  async close(): Promise<void> {
    const over = this.#poller.close();
    await this.#stream?.return?.();
    await over;
  }

  /** Follows until the feed is closed. After a failure, resolves to the milliseconds until the next attempt. */
  async #follow(): Promise<number | null> {
    try {
      this.#stream = this.feed.subscribe(this.#position);
      for await (const entry of this.#stream) {
        this.#position = entry.position - 1;
        const userId = endedBy(entry)?.userId ?? null;
        // Sessions that began after the change are kept: they are sign-ins with the new password.
        if (userId !== null) await this.sessions.endSessionsOf(userId, entry.createdAt);
        this.#position = entry.position;
      }
      return null;
    } catch (error) {
      this.logger.warn(
        { err: error },
        'Cannot end the sessions of a changed account; trying again until they are ended',
      );
      await this.#stream?.return?.();
      return RETRY_INTERVAL_MS;
    }
  }
}
