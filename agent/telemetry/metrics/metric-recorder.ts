/**
 * Records measurements and counts evaluations, and has them written: measurements within a second, and counts once in
 * an interval, because flash wears out (docs/decisions/vehicle/evaluation-counts-and-flash.md).
 */
import { unattended } from '../../../core/last-handler/unattended.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import { SharedReading } from '../../../core/async/shared-reading.ts';
import type { Evaluation, JsonObject } from '../../../core/model.ts';
import { validateMeasured, validateMetricName } from '../../../core/wire/vehicle/metric.ts';
import type { EvaluatedFlag } from '../../evaluate/flag-evaluator.ts';
import { timerDelay } from '../../../core/async/timer-delay.ts';
import type { MetricQueue, QueuedMetric } from './metric-queue.ts';

/** The options of a measurement beside its name and value. */
export interface TrackOptions {
  readonly flagKey: string;
  /** The tags: at most 16 strings, numbers and booleans, with at most 1,024 bytes as JSON. */
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

/** The evaluations of a flag and variant that are not in the queue yet. */
interface Counter {
  readonly flagKey: string;
  readonly variant: string;
  count: number;
  /** The time of the last evaluation, in milliseconds since 1970. */
  last: number;
}

/** The most results of flags that are counted. Beyond it, the counts go into the queue at once. */
const MAX_COUNTERS = 1_000;

/** Records measurements and counts evaluations into a queue. */
export class MetricRecorder {
  readonly #options: RecorderOptions;
  readonly #counters = new Map<string, Counter>();
  /** The same counters by evaluation, which is one object for all contexts with its result. */
  readonly #byEvaluation = new Map<Evaluation, Counter>();
  readonly #nowOfRun: SharedReading;
  #countTimer: NodeJS.Timeout | undefined;
  #writeTimer: NodeJS.Timeout | undefined;

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#nowOfRun = new SharedReading(options.now);
  }

  /** Counts one evaluation. */
  count({ definition, evaluation }: EvaluatedFlag): void {
    let counter = this.#byEvaluation.get(evaluation);
    if (counter === undefined) {
      counter = this.#counterOf(definition.key, evaluation.variant);
      this.#byEvaluation.set(evaluation, counter);
    }
    counter.count += 1;
    counter.last = this.#nowOfRun.get();
  }

  #counterOf(flagKey: string, variant: string): Counter {
    if (this.#byEvaluation.size >= MAX_COUNTERS) this.flush();
    const key = `${flagKey} ${variant}`;
    const known = this.#counters.get(key);
    if (known !== undefined) return known;
    const counter = { flagKey, variant, count: 0, last: 0 };
    this.#counters.set(key, counter);
    this.#countTimer ??= setTimeout(() => {
      this.flush();
      unattended(this.#options.save(), 'Saving the measurements');
    }, timerDelay(this.#options.intervalMs)).unref();
    return counter;
  }

  /**
   * Records a measurement under the vehicle's variant.
   *
   * @param evaluated the present evaluation of the flag for the vehicle; undefined where there is no such flag
   * @throws FleetFlagError BAD_USER_INPUT at the faulty argument, NOT_FOUND where there is no such flag
   */
  track(metric: string, value: number, options: TrackOptions, evaluated: EvaluatedFlag | undefined): void {
    this.#options.queue.add({ at: this.#options.now(), ...checkMeasurement(metric, value, options, evaluated) });
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
    this.#byEvaluation.clear();
  }

  /** Stops the timers and moves the counts into the queue. */
  close(): void {
    this.flush();
    clearTimeout(this.#writeTimer);
  }
}

/** Checks a measurement and gives it in the form of the queue. Throws as `MetricRecorder.track` does. */
export function checkMeasurement(
  metric: string,
  value: number,
  { flagKey, tags }: TrackOptions,
  evaluated: EvaluatedFlag | undefined,
): Omit<QueuedMetric, 'id' | 'at'> {
  validateMetricName(metric, 'metric');
  if (evaluated === undefined)
    throw new FleetFlagError('NOT_FOUND', `There is no flag ${JSON.stringify(flagKey)}.`, { field: 'flagKey' });
  const { variant } = evaluated.evaluation;
  const measured = { flagKey, variant, metricName: metric, value };
  return { ...measured, ...validateMeasured({ ...measured, tags }, '') };
}
