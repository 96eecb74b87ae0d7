/**
 * Ends sessions of this process's own store when the audit log says that they are over. A process that shares the store
 * has already ended them there; this is for the in-memory store of a process whose account was changed by another one
 * (`npm run admin -- reset-password` beside `npm start`).
 */
import type { Logger } from 'pino';
import { endedBy } from './ended-credentials.ts';
import type { Sessions } from './sessions.ts';
import type { TrailFeed } from '../log/trail-feed.ts';

/** Milliseconds before the audit log is followed again after a failure. */
const RETRY = 1_000;

/** Follows the audit log and ends sessions. */
export class SessionEnding {
  #closed = false;
  #stream: ReturnType<TrailFeed['subscribe']> | undefined;
  #following: Promise<void> | undefined;
  #wake: () => void = () => undefined;

  constructor(
    private readonly feed: TrailFeed,
    private readonly sessions: Sessions,
    private readonly logger: Logger,
  ) {}

  /** Follows the audit log from now on, until `close`. */
  start(): void {
    this.#following = this.#follow();
  }

  /** Stops following. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wake();
    await this.#stream?.return?.();
    await this.#following;
  }

  async #follow(): Promise<void> {
    let position: number | 'now' = 'now';
    while (!this.#closed) {
      try {
        this.#stream = this.feed.subscribe(position);
        for await (const entry of this.#stream) {
          position = entry.position - 1;
          const userId = endedBy(entry)?.userId ?? null;
          // Sessions that began after the change are kept: they are sign-ins with the new password.
          if (userId !== null) await this.sessions.endSessionsOf(userId, entry.createdAt);
          position = entry.position;
        }
        // The feed was closed.
        return;
      } catch (error) {
        this.logger.warn({ err: error }, 'Sessions could not be ended; it is tried again until they are');
        await this.#stream?.return?.();
        if (!this.#closed)
          await new Promise<void>((resolve) => {
            const timer = setTimeout(resolve, RETRY);
            this.#wake = () => (clearTimeout(timer), resolve());
          });
      }
    }
  }
}
