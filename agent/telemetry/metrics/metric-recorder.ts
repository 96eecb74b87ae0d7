/**
 * Records measurements and counts evaluations, and has them written: measurements within a second, and counts once in
 * an interval, because flash wears out (docs/decisions/evaluation-counts-and-flash.md).
 */
import { unattended } from '../../../core/async/unattended.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/model.ts';
import { validateMeasured, validateMetricName } from '../../../core/wire/metric.ts';
import type { EvaluatedFlag } from '../../evaluate/flag-evaluator.ts';
import { timerDelay } from '../../../core/async/timer-delay.ts';
import type { MetricQueue } from './metric-queue.ts';

/** The options of a measurement beside its name and value. */
export interface TrackOptions {
  readonly flagKey: string;
  /** At most 16 tags of text, numbers and booleans, with 1,024 bytes as JSON. */
  readonly tags?: JsonObject | undefined;
}

/** The options of a recorder. */
export interface RecorderOptions {
  readonly queue: MetricQueue;
  /** The clock, in milliseconds since 1970. */
  readonly now: () => number;
  /** The milliseconds that a measurement may wait for its write to begin. */
  readonly writeMs: number;
  /** The milliseconds for which evaluations are counted together. */
  readonly intervalMs: number;
  /** Writes the queue; resolves to whether it is on disk. Never rejects. */
  readonly save: () => Promise<boolean>;
}

/** The most counters of flags and variants. Beyond it, the counts go into the queue at once. */
const MAX_COUNTERS = 1_000;

/** Records measurements and counts evaluations into a queue. */
export class MetricRecorder {
  readonly #options: RecorderOptions;
  readonly #counters = new Map<string, { flagKey: string; variant: string; count: number; last: number }>();
  #countTimer: NodeJS.Timeout | undefined;
  #writeTimer: NodeJS.Timeout | undefined;

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /** Counts one evaluation. */
  count({ definition, evaluation }: EvaluatedFlag): void {
    const key = `${definition.key} ${evaluation.variant}`;
    const last = this.#options.now();
    const counter = this.#counters.get(key);
    if (counter !== undefined) {
      counter.count += 1;
      counter.last = last;
      return;
    }
    if (this.#counters.size >= MAX_COUNTERS) this.flush();
    this.#counters.set(key, { flagKey: definition.key, variant: evaluation.variant, count: 1, last });
    this.#countTimer ??= setTimeout(() => {
      this.flush();
      unattended(this.#options.save(), 'Saving the measurements');
    }, timerDelay(this.#options.intervalMs)).unref();
  }

  /**
   * Records a measurement under the vehicle's variant.
   *
   * @param evaluated the present evaluation of the flag for the vehicle; undefined where there is no such flag
   * @throws FleetFlagError BAD_USER_INPUT at the faulty argument, NOT_FOUND where there is no such flag
   */
  track(metric: string, value: number, { flagKey, tags }: TrackOptions, evaluated: EvaluatedFlag | undefined): void {
    validateMetricName(metric, 'metric');
    if (evaluated === undefined)
      throw new FleetFlagError('NOT_FOUND', `There is no flag ${JSON.stringify(flagKey)}.`, { field: 'flagKey' });
    const { variant } = evaluated.evaluation;
    const measured = { flagKey, variant, metricName: metric, value };
    this.#options.queue.add({
      ...measured,
      at: this.#options.now(),
      ...validateMeasured({ ...measured, tags }, ''),
    });
    // The write leaves out the counts, which are collected until their own interval ends.
    this.#writeTimer ??= setTimeout(() => {
      this.#writeTimer = undefined;
      unattended(this.#options.save(), 'Saving the measurements');
    }, timerDelay(this.#options.writeMs)).unref();
  }

  /** Moves the counts into the queue. */
  flush(): void {
    clearTimeout(this.#countTimer);
    this.#countTimer = undefined;
    for (const { flagKey, variant, count, last } of this.#counters.values())
      this.#options.queue.addEvaluations(flagKey, variant, count, last);
    this.#counters.clear();
  }

  /** Stops the timers and moves the counts into the queue. */
  close(): void {
    this.flush();
    clearTimeout(this.#writeTimer);
  }
}
