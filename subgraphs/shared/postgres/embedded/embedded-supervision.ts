import { backoffMs, type BackoffBounds } from '../../../../core/async/backoff.ts';
import { Poller } from '../../../../core/async/poller.ts';
import { unattended } from '../../../../core/last-handler/unattended.ts';
import { errorMessage } from '../../../../core/caught-error.ts';

/** Milliseconds between two polls of a server that should live. */
const POLL_INTERVAL_MS = 200;
/** The milliseconds until another attempt to start a server that could not be started. */
const RETRY: BackoffBounds = { baseMs: 500, capMs: 10_000 };

/** The supervised server and how to restart it. */
export interface SupervisionOptions<Server> {
  readonly isAlive: (server: Server) => boolean;
  /** Restarts the server at the same address; resolves when it answers. */
  readonly restart: () => Promise<Server>;
  /** Receives sentences for the operator. */
  readonly log: (line: string) => void;
}

/** Keeps a server alive: restarts it whenever it has died, retrying until that succeeds. */
export class Supervision<Server> {
  readonly #poller = new Poller(() => this.#poll());
  /** Starts in a row that have failed; null while the server lives. */
  #failures: number | null = null;

  constructor(
    private server: Server,
    private readonly options: SupervisionOptions<Server>,
  ) {
    unattended(this.#poller.start(), 'Watching over the embedded PostgreSQL');
  }

  /** Ends the supervision. Resolves to the current server, after a restart in progress has ended. */
  async end(): Promise<Server> {
    await this.#poller.close();
    return this.server;
  }

  /** Starts a server that has died again. Resolves to the milliseconds until the next poll; never rejects. */
  async #poll(): Promise<number> {
    const { isAlive, log, restart } = this.options;
    if (this.#failures === null) {
      if (isAlive(this.server)) return POLL_INTERVAL_MS;
      log('PostgreSQL has died; restarting it');
      this.#failures = 0;
    }
    try {
      this.server = await restart();
    } catch (error) {
      this.#failures += 1;
      const retryMs = backoffMs(this.#failures, RETRY);
      const reason = errorMessage(error);
      log(`Cannot restart PostgreSQL; retrying in ${retryMs / 1000} s: ${reason}`);
      return retryMs;
    }
    this.#failures = null;
    log('PostgreSQL answers again');
    return POLL_INTERVAL_MS;
  }
}
