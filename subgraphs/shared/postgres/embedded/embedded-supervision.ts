import { setTimeout as delay } from 'node:timers/promises';
import { unattended } from '../../../../core/async/unattended.ts';
import { errorMessage } from '../../../../core/caught-error.ts';

/** Milliseconds between two checks that the server lives. */
const LOOK = 200;
/** Milliseconds before the first retry of a failed restart; later delays grow up to the longest. */
const FIRST_RETRY = 500;
const LONGEST_RETRY = 10_000;

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
  #ended = false;
  readonly #over = new AbortController();
  readonly #watching: Promise<void>;

  constructor(
    private server: Server,
    private readonly options: SupervisionOptions<Server>,
  ) {
    this.#watching = this.#watch();
    unattended(this.#watching, 'Watching over the embedded PostgreSQL');
  }

  /** Ends the supervision. Resolves to the current server, after a restart in progress has ended. */
  async end(): Promise<Server> {
    this.#ended = true;
    this.#over.abort();
    await this.#watching;
    return this.server;
  }

  async #watch(): Promise<void> {
    while (!this.#ended) {
      if (this.options.isAlive(this.server)) await this.#pause(LOOK);
      else await this.#restart();
    }
  }

  async #restart(): Promise<void> {
    const { log, restart } = this.options;
    log('PostgreSQL has died; it is started again');
    for (let retry = FIRST_RETRY; !this.#ended; retry = Math.min(LONGEST_RETRY, retry * 2)) {
      try {
        this.server = await restart();
        log('PostgreSQL answers again');
        return;
      } catch (error) {
        log(`PostgreSQL could not be started again, the next attempt is in ${retry / 1000} s: ${errorMessage(error)}`);
        await this.#pause(retry);
      }
    }
  }

  #pause(milliseconds: number): Promise<void> {
    return delay(milliseconds, undefined, { ref: false, signal: this.#over.signal }).catch(() => undefined);
  }
}
