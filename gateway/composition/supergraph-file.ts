/** Follows the file of the supergraph, so that a gateway serves another schema without a restart. */
import { readFile } from 'node:fs/promises';
import { Poller } from '../../core/async/poller.ts';
import { unattended } from '../../core/last-handler/unattended.ts';
import type { GatewayLogger } from '../context.ts';

/**
 * Milliseconds between two reads. The file is read, not watched: platforms replace it in ways that no watch reports.
 */
const INTERVAL_MS = 1_000;

/** Reads the file at intervals, and puts changed content in force. */
export class SupergraphFile {
  readonly #poller: Poller;
  #isMissing = false;

  /**
   * @param path of the file
   * @param text its content that is in force
   * @param use puts another content in force; rejects where it is no supergraph, and then nothing has changed
   */
  constructor(
    private readonly path: string,
    private text: string,
    private readonly use: (text: string) => Promise<void>,
    private readonly logger: GatewayLogger,
    intervalMs = INTERVAL_MS,
  ) {
    this.#poller = Poller.every(intervalMs, () => this.look());
  }

  start(): void {
    unattended(this.#poller.start(), 'Following the file of the supergraph');
  }

  async close(): Promise<void> {
    await this.#poller.close();
  }

  /** Reads the file once, and puts a changed content in force. Never rejects. */
  async look(): Promise<void> {
    let text;
    try {
      text = await readFile(this.path, 'utf8');
    } catch (error) {
      if (!this.#isMissing)
        this.logger.warn({ err: error, path: this.path }, 'Cannot read the supergraph; keeping the one in force');
      this.#isMissing = true;
      return;
    }
    this.#isMissing = false;
    if (text === this.text) return;
    // One that cannot be used is not tried again until it changes.
    this.text = text;
    try {
      await this.use(text);
      this.logger.info({ path: this.path }, 'Another supergraph is in force');
    } catch (error) {
      this.logger.error(
        { err: error, path: this.path },
        'The supergraph cannot be used; keeping the one in force until the file changes again',
      );
    }
  }
}
