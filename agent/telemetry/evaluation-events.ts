/**
 * An event for each evaluation of a flag, in the form of OpenTelemetry's semantic conventions:
 * https://opentelemetry.io/docs/specs/semconv/feature-flags/feature-flags-events/. The vehicle's VIN, its facts and the
 * flag's value are left out.
 */
import { describeError, type Log } from '../log.ts';
import type { EvaluationErrorCode } from '../api/evaluation-details.ts';
import type { EvaluatedFlag } from '../evaluate/flag-evaluator.ts';

/** An evaluation as an event. It fits a record of OpenTelemetry's Logs API. */
export interface EvaluationEvent {
  readonly eventName: 'feature_flag.evaluation';
  /** The time of the evaluation, in milliseconds since 1970 by the vehicle's clock. */
  readonly timestamp: number;
  readonly attributes: Readonly<Record<string, string>>;
}

/** The receiver of events, and the most events that it gets. */
export interface EvaluationEventOptions {
  /** Called while a flag is evaluated, so it has to be quick. */
  readonly emit: (event: EvaluationEvent) => void;
  /** The most events in a second; 100 by default. Further ones are dropped and counted. */
  readonly maxPerSecond?: number;
}

/** The most characters of a key: a program may evaluate a key that no flag has. */
const MAX_KEY_LENGTH = 100;
const DEFAULT_PER_SECOND = 100;

/** Emits events, at most `maxPerSecond` in a second. */
export class EvaluationEvents {
  readonly #options: Required<EvaluationEventOptions>;
  #second = -1;
  #inSecond = 0;
  #dropped = 0;
  #hasFailed = false;

  /** @param now milliseconds since 1970 */
  constructor(
    options: EvaluationEventOptions,
    private readonly now: () => number,
    private readonly log: Log,
  ) {
    this.#options = { maxPerSecond: DEFAULT_PER_SECOND, ...options };
  }

  /** The number of events that were dropped since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  /**
   * Emits the event of an evaluation. Never throws.
   *
   * @param fault the reason why the program got its own default; null where it got the flag's value
   */
  evaluated(key: unknown, evaluated: EvaluatedFlag | undefined, fault: EvaluationErrorCode | null): void {
    const timestamp = this.now();
    const second = Math.floor(timestamp / 1_000);
    if (second !== this.#second) [this.#second, this.#inSecond] = [second, 0];
    if (this.#inSecond >= this.#options.maxPerSecond) {
      this.#dropped += 1;
      return;
    }
    this.#inSecond += 1;
    try {
      this.#options.emit({
        eventName: 'feature_flag.evaluation',
        timestamp,
        attributes: {
          'feature_flag.key': readableKey(key),
          'feature_flag.provider.name': 'fleetflag',
          ...(fault === null && evaluated !== undefined
            ? resultOf(evaluated)
            : { 'feature_flag.result.reason': 'error', 'error.type': (fault ?? 'FLAG_NOT_FOUND').toLowerCase() }),
        },
      });
    } catch (error) {
      // The log says this once, because a flag may be evaluated thousands of times in a second.
      if (!this.#hasFailed)
        this.log('error', `cannot emit an evaluation event; evaluating flags without it: ${describeError(error)}`);
      this.#hasFailed = true;
    }
  }
}

/** Gives a key as it may stand in a line of a log. */
const readableKey = (key: unknown) =>
  String(key)
    .slice(0, MAX_KEY_LENGTH)
    .replace(/\p{Cc}/gu, '?');

function resultOf({ definition, evaluation }: EvaluatedFlag): Record<string, string> {
  return {
    'feature_flag.result.reason': evaluation.reason.toLowerCase(),
    'feature_flag.result.variant': evaluation.variant,
    'feature_flag.version': String(evaluation.revision),
    'feature_flag.set.id': definition.environment,
  };
}
