/**
 * Ending the sessions that this process keeps when the trail says that they are over. Whoever ends them in a process
 * with the same cache has done so already; this is for sessions in a process' own memory, of an account that was
 * changed from another process (`npm run admin -- reset-password` beside `npm start`).
 */
import type { Logger } from 'pino';
import { endedBy } from './ended-credentials.ts';
import type { Sessions } from './sessions.ts';
import type { TrailFeed } from '../log/trail-feed.ts';

/** How long to wait before the trail is followed again after it could not be, in milliseconds. */
const RETRY = 1_000;

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

  /** Follows the trail from now on, until `close`. */
  start(): void {
    this.#following = this.#follow();
  }

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
          // What began after the change knows of it: a sign-in with the new password.
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
