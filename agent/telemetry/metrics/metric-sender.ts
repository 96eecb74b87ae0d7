/**
 * Sends the queue over one link, batch by batch. A batch is on disk with its id before it is sent, and does not change
 * until the control plane has it. So it counts once, even if the answer is lost or this process dies.
 */
import { describeError, type Log } from '../../log.ts';
import type { Backoff } from '../../../core/async/backoff.ts';
import { RequestRefused, retryAfterMs, type GatewayLink } from '../../link/gateway-link.ts';
import { LinkWait } from '../../link/link-wait.ts';
import type { MetricQueue, OpenBatch } from './metric-queue.ts';

/** The operation that reports a batch of measurements. */
export const REPORT_MUTATION =
  'mutation Report($input: MetricBatchInput!) { reportMetrics(input: $input) { accepted duplicates dropped } }';

/** The path by which a refusal names a fault of a row. */
const ITEM_FIELD = /^input\.items\.(\d+)(\.|$)/;

/** The options of a sender. */
export interface SenderOptions {
  readonly link: Pick<GatewayLink, 'request' | 'ended'>;
  readonly queue: MetricQueue;
  /** Moves the counts of evaluations into the queue. */
  readonly flush: () => void;
  /** Writes the queue; resolves to whether it is on disk. */
  readonly save: () => Promise<boolean>;
  /** Gives the milliseconds until the next check of the queue; called before each. */
  readonly sendDelayMs: () => number;
  readonly backoff: Backoff;
  /** A source of random numbers, uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
}

/** Sends batches of a queue while a link lasts. */
export class MetricSender {
  readonly #options: SenderOptions;
  readonly #wait: LinkWait;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#wait = new LinkWait(options.link.ended);
  }

  /** Runs until the link ends; never rejects. */
  async run(): Promise<void> {
    const { queue, save, sendDelayMs } = this.#options;
    let wait = sendDelayMs();
    while (!this.#wait.ended) {
      await this.#wait.pause(wait);
      if (this.#wait.ended) return;
      this.#options.flush();
      const batch = queue.batch();
      // An acknowledged batch leaves the disk with the next write. If it is sent again, it still counts once.
      if (batch === null) wait = sendDelayMs();
      else if (!(await save())) wait = sendDelayMs();
      else wait = await this.#send(batch);
    }
  }

  /** Sends a batch. Resolves to the milliseconds until the next. */
  async #send(batch: OpenBatch): Promise<number> {
    const { link, queue, sendDelayMs, backoff, log } = this.#options;
    const items = batch.rows.map(({ flagKey, variant, metricName, value, at, tags }) => ({
      flagKey,
      variant,
      metricName,
      value,
      timestamp: new Date(at).toISOString(),
      tags,
    }));
    try {
      await link.request(REPORT_MUTATION, { input: { batchId: batch.id, items } });
      queue.settle();
      backoff.reset();
      return queue.rows.length > 0 ? 0 : sendDelayMs();
    } catch (error) {
      if (!this.#wait.ended) {
        const next =
          error instanceof RequestRefused && error.isAboutInput
            ? 'dropping the refused ones'
            : 'keeping them and trying again';
        log('warn', `cannot report measurements; ${next}: ${describeError(error)}`);
      }
      return this.#afterRefusal(error);
    }
  }

  /** Drops rows that would always be refused. Gives the milliseconds until the next attempt. */
  #afterRefusal(error: unknown): number {
    const { queue, backoff, random, sendDelayMs } = this.#options;
    if (error instanceof RequestRefused && error.isAboutInput) {
      // The batch would always be refused, so the faulty row is dropped, or all rows where none is named.
      const position = ITEM_FIELD.exec(error.field ?? '')?.[1];
      if (position === undefined) queue.settle(true);
      else queue.discard(Number(position));
      return backoff.next();
    }
    // Any other refusal with a code is not about the batch. An older control plane may not know this operation, or a
    // part of it, and may be updated later; so the measurements stay.
    if (error instanceof RequestRefused && !error.mayPassSoon) return sendDelayMs();
    return Math.max(retryAfterMs(error, random) ?? 0, backoff.next());
  }
}
