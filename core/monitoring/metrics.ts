/**
 * The metrics of one process for a Prometheus server (docs/operations/monitoring.md). A label's values are few and
 * known beforehand: never a VIN, a person, a key or a path that a client chose.
 */
import { AggregatorRegistry, Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

/** The buckets of durations in seconds. The last is the timeout of a request. */
const BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** The buckets of a store's answers in seconds: most come within a millisecond or two. */
export const STORE_BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30];

/**
 * Gauges of prom-client that have names of counters. They are left out; others that stay
 * (`nodejs_active_handles{type}`) sum up to them.
 */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

/** All figures of one process, as JSON that another process can sum up. */
export type MetricFigures = Awaited<ReturnType<Registry['getMetricsAsJSON']>>;

/** The metrics in the text format of Prometheus, with the media type. */
export interface MetricsText {
  readonly type: string;
  readonly body: string;
}

/** The figures of this process, or the sums over it and the processes beside it. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #beforeReading: (() => void)[] = [];
  #figuresOfOthers: (() => Promise<readonly unknown[]>) | null = null;
  #watchesProcess = false;

  /** Adds a counter. Its name gets the prefix `fleetflag_`, as those of all others do. */
  counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    return new Counter({ name: `fleetflag_${name}`, help, labelNames, registers: [this.#registry] });
  }

  /**
   * Adds a histogram of durations.
   *
   * @param buckets the upper bounds, in seconds
   */
  histogram<Label extends string>(
    name: string,
    help: string,
    labelNames: Label[],
    buckets: number[] = BUCKETS_SECONDS,
  ): Histogram<Label> {
    return new Histogram({ name: `fleetflag_${name}`, help, labelNames, buckets, registers: [this.#registry] });
  }

  /** Adds a gauge that is read at each scrape. A reading that rejects leaves the gauge without samples. */
  gauge<Label extends string>(
    name: string,
    help: string,
    labelNames: Label[],
    collect: (it: Gauge<Label>) => void | Promise<void>,
  ): void {
    new Gauge({
      name: `fleetflag_${name}`,
      help,
      labelNames,
      registers: [this.#registry],
      async collect() {
        this.reset();
        try {
          await collect(this);
        } catch {
          this.reset();
          // prom-client gives a gauge without labels a 0 at its reset, which would look like a good reading.
          if (labelNames.length === 0) this.remove();
        }
      },
    });
  }

  /** Adds a counter whose value is kept elsewhere. */
  total<Label extends string>(
    name: string,
    help: string,
    labelNames: Label[],
    collect: (it: Counter<Label>) => void,
  ): void {
    new Counter({
      name: `fleetflag_${name}`,
      help,
      labelNames,
      registers: [this.#registry],
      collect() {
        this.reset();
        collect(this);
      },
    });
  }

  /** Calls `read` before each reading, for figures that several metrics share. */
  beforeReading(read: () => void): void {
    this.#beforeReading.push(read);
  }

  /** Adds the metrics of unhandled failures and lost log lines, which are read at each scrape. */
  watchProcess(unforeseen: () => Readonly<Record<string, number>>, lostLogLines: () => number): void {
    this.total(
      'log_lines_lost_total',
      'Log lines that could not be written, because the disk or pipe was full.',
      [],
      (it) => it.inc(lostLogLines()),
    );
    this.total(
      'unforeseen_failures_total',
      'Unhandled rejections and uncaught exceptions in this process.',
      ['kind'],
      (it) => {
        for (const [kind, count] of Object.entries(unforeseen())) it.inc({ kind }, count);
      },
    );
  }

  /**
   * Gives sums over this process and others from now on.
   *
   * @param figures resolves to the result of `figures()` in each of the others
   */
  sumWith(figures: () => Promise<readonly unknown[]>): void {
    this.#figuresOfOthers = figures;
  }

  /** Gives the figures of this process alone. */
  async figures(): Promise<MetricFigures> {
    this.#read();
    return this.#registry.getMetricsAsJSON();
  }

  /** Gives all metrics in Prometheus' text format, with its media type. */
  async text(): Promise<MetricsText> {
    const registry = await this.#summed();
    return { type: registry.contentType, body: await registry.metrics() };
  }

  async #summed(): Promise<Registry> {
    if (this.#figuresOfOthers === null) {
      this.#read();
      return this.#registry;
    }
    const [own, others] = await Promise.all([this.figures(), this.#figuresOfOthers()]);
    return AggregatorRegistry.aggregate([own, ...others.filter((each) => Array.isArray(each))]);
  }

  #read(): void {
    // This begins with the first scrape, because watching the event loop and the garbage collector has a constant cost.
    if (!this.#watchesProcess) {
      collectDefaultMetrics({ register: this.#registry });
      for (const name of MISNAMED) this.#registry.removeSingleMetric(name);
    }
    this.#watchesProcess = true;
    for (const read of this.#beforeReading) read();
  }
}
