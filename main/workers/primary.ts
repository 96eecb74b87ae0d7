/**
 * The primary process of several gateways on one port (docs/decisions/processes/worker-processes.md). It starts the
 * workers, replaces one that has ended, and ends them in order. It takes no connections itself: the workers share the
 * listening socket, and the kernel gives each connection to one of them.
 */
import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { Backoff } from '../../core/async/backoff.ts';
import { withTimeout } from '../../core/async/timeout.ts';
import { unattended } from '../../core/last-handler/unattended.ts';
import { boundAddress } from '../../core/wire/network/http-server.ts';
import type { MetricFigures, Metrics } from '../../core/monitoring/metrics.ts';
import { watchWorkers } from '../../gateway/monitoring/gateway-metrics.ts';
import type { Configuration } from '../configuration.ts';
import type { Lifecycle } from '../process/lifecycle.ts';
import { PlacePools, offerPlaces } from './place-pools.ts';
import { ProcessChannel, type Methods } from './process-channel.ts';
import { offerCache, type GatewayCache } from './shared-cache.ts';
import { workerEnd } from './worker-end.ts';

/** The facts that a worker needs beside the settings, which it reads itself. */
export interface Briefing {
  readonly port: number;
  /** The internal secret. */
  readonly secret: string;
  readonly subgraphUrls: Configuration['subgraphUrls'];
  /** Whether sessions and rates are in the primary process; otherwise in Redis. */
  readonly sharesCache: boolean;
  /** The number of workers. */
  readonly workers: number;
}

interface WorkersOptions extends Omit<Briefing, 'sharesCache' | 'workers'> {
  /** The number of worker processes. */
  readonly count: number;
  /** The stores of this process that the workers use; null where they use Redis. */
  readonly cache: GatewayCache | null;
  /** The metrics of this process. */
  readonly metrics: Metrics;
  /** Milliseconds for which a worker announces its end. */
  readonly shutdownDelayMs: number;
  readonly logger: Logger;
}

/**
 * Milliseconds before an ended worker is replaced: at once the first time, and rarely where it ends again and again.
 */
const REPLACEMENT = { baseMs: 100, capMs: 10_000 };
/** Milliseconds that a worker runs before its end counts as the first one in a row. */
const STABLE_MS = 60_000;
/** Milliseconds after which a worker that was asked to stop is killed. */
const STOPPING_MS = 20_000;
/** Milliseconds that `/metrics` waits for the figures of a worker. */
const FIGURES_MS = 2_000;

/** A worker process and the channel to it. */
interface RunningWorker {
  readonly worker: Worker;
  readonly channel: ProcessChannel;
}

/** The worker processes. */
class Workers {
  readonly #running = new Set<RunningWorker>();
  readonly #backoff = new Backoff({ ...REPLACEMENT, random: Math.random });
  readonly #places = new PlacePools<Worker>();
  #replaced = 0;
  #stopping = false;

  private constructor(private readonly options: WorkersOptions) {
    watchWorkers(options.metrics, () => ({ running: this.#running.size, replaced: this.#replaced }));
  }

  /** Starts the workers; resolves when all of them listen. Rejects when one of them ends before that. */
  static async start(options: WorkersOptions): Promise<Workers> {
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    const workers = new Workers(options);
    try {
      await Promise.all(Array.from({ length: options.count }, () => workers.#launch()));
    } catch (error) {
      await workers.close();
      throw error;
    }
    return workers;
  }

  /** Starts a worker; resolves when it listens. Rejects when it ends before that. */
  async #launch(): Promise<void> {
    const worker = cluster.fork();
    const { port, secret, subgraphUrls, cache } = this.options;
    const briefing: Briefing = { port, secret, subgraphUrls, sharesCache: cache !== null, workers: this.options.count };
    let listens: () => void = () => undefined;
    const listening = new Promise<void>((resolve) => (listens = resolve));
    const methods: Methods = {
      ...(cache === null ? {} : offerCache(cache)),
      ...offerPlaces(this.#places, worker),
      briefing: () => briefing,
      listens: () => listens(),
      figuresOfOthers: () => this.#figures(running),
    };
    const running: RunningWorker = { worker, channel: new ProcessChannel(worker, methods) };
    this.#running.add(running);
    const startedAt = performance.now();
    let isUp = false;
    const gone = () => {
      this.#running.delete(running);
      this.#places.end(worker);
      running.channel.close();
    };
    const ended = workerEnd(worker)
      .finally(gone)
      .then((end) => {
        if (!isUp) throw new Error(`A gateway process ended before it listened (${end}).`);
        if (!this.#stopping) this.#replace(worker, end, performance.now() - startedAt);
      });
    await Promise.race([listening, ended]);
    isUp = true;
    unattended(ended, 'Watching a gateway process');
  }

  #replace({ process: { pid } }: Worker, end: string, ranMs: number): void {
    this.#replaced += 1;
    if (ranMs > STABLE_MS) this.#backoff.reset();
    this.options.logger.error({ pid, end }, 'A gateway process has ended; its clients reconnect, and another starts');
    unattended(this.#launchAgain(), 'Replacing a gateway process');
  }

  async #launchAgain(): Promise<void> {
    while (!this.#stopping) {
      await pause(this.#backoff.nextWhole());
      if (this.#stopping) return;
      try {
        return await this.#launch();
      } catch (error) {
        this.options.logger.error({ err: error }, 'Cannot replace a gateway process; trying again');
      }
    }
  }

  /** Gives the figures of this process and of all workers but the one that calls. */
  async #figures(calling: RunningWorker): Promise<readonly unknown[]> {
    const others = [...this.#running].filter((running) => running !== calling);
    const figures = others.map(({ channel }) =>
      withTimeout<unknown>(FIGURES_MS, 'No figures in time', () => channel.call('figures')).catch(() => null),
    );
    const own: MetricFigures = await this.options.metrics.figures();
    return [own, ...(await Promise.all(figures))].filter((each) => each !== null);
  }

  /** Ends all workers: each closes its websockets and answers what is under way. Resolves when they have ended. */
  async close(): Promise<void> {
    this.#stopping = true;
    await Promise.all(
      [...this.#running].map(async ({ worker }) => {
        if (worker.isDead()) return;
        const late = setTimeout(() => worker.process.kill('SIGKILL'), this.options.shutdownDelayMs + STOPPING_MS);
        const ended = workerEnd(worker);
        worker.process.kill('SIGTERM');
        await ended;
        clearTimeout(late);
      }),
    );
  }
}

/** Finds a port that is free on `host`. */
async function freePort(host: string): Promise<number> {
  const probe = createServer().listen({ host, port: 0 });
  await once(probe, 'listening');
  const { port } = boundAddress(probe);
  probe.close();
  await once(probe, 'close');
  return port;
}

/** Starts gateways in worker processes, which end with `lifecycle`. Resolves to their port when all of them listen. */
export async function openWorkers(
  { host, port: wanted, shutdownDelayMs }: Pick<Configuration, 'host' | 'port' | 'shutdownDelayMs'>,
  options: Omit<WorkersOptions, 'port' | 'logger' | 'shutdownDelayMs'>,
  lifecycle: Lifecycle,
  logger: Logger,
): Promise<number> {
  // All workers, and those that replace them, need the same port: they cannot each pick a free one.
  const port = wanted === 0 ? await freePort(host) : wanted;
  const workers = await Workers.start({ ...options, port, shutdownDelayMs, logger });
  lifecycle.onClose(() => workers.close());
  return port;
}
