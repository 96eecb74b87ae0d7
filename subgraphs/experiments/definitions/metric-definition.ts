/**
 * The declaration of a metric, made before it is measured, and the checks of its input. Source: docs/guides/metrics.md.
 */
import { badInput } from '../../../core/errors.ts';
import { checkNumber } from '../../../core/json/json-value.ts';
import type { JsonObject } from '../../../core/model.ts';
import { parseDuration } from '../../../core/validation/duration.ts';
import type { GuardDirection } from '../../../core/rollouts/rollout-guard.ts';
import { readLabel } from '../../../core/validation/text.ts';
import { validateMetricName } from '../../../core/wire/vehicle/metric.ts';
import type { MetricDefinitionInput } from '../generated/resolvers.ts';

/**
 * The way in which a vehicle's measurements become one number: their mean, whether one of them was 1, or their sum. A
 * share between 0 and 1 is a mean.
 */
export const METRIC_KINDS = ['mean', 'proportion', 'count'] as const;
/** One of `METRIC_KINDS`. */
export type MetricKind = (typeof METRIC_KINDS)[number];

/** A declared metric. */
export interface MetricDefinition {
  /** The metric's name, as programs in the vehicle `track` it. */
  readonly key: string;
  readonly kind: MetricKind;
  readonly unit: string | null;
  /** The range of a vehicle's number. What lies outside is a fault: it is counted by arm and not analysed. */
  readonly minimum: number | null;
  readonly maximum: number | null;
  /** The direction in which the metric gets better; null where neither is. */
  readonly better: GuardDirection | null;
  /** The number at which a vehicle's is cut; null: the range, or else the 99th percentile before the start. */
  readonly cap: number | null;
  /**
   * Milliseconds after its first exposure in which a vehicle's measurements count; a proportion or count of a vehicle
   * that reports nothing in it is 0. Null: a vehicle counts with its first measurement.
   */
  readonly window: number | null;
}

const MAX_UNIT = 50;
const DAY_MS = 86_400_000;
/** Measurements that arrive after 30 days are dropped, so a longer window would never be complete. */
const MAX_WINDOW_MS = 30 * DAY_MS;

function finiteOrNull(value: number | null | undefined, path: string): number | null {
  if (value === null || value === undefined) return null;
  checkNumber(value, path);
  return value;
}

function readWindow(text: string | null | undefined): number | null {
  if (text === null || text === undefined) return null;
  const window = parseDuration(text, 'input.window');
  if (window > MAX_WINDOW_MS) throw badInput('input.window', 'Expected a duration of at most 30 days.');
  return window;
}

/** Checks that the limits leave a range, and gives the range of the kind where none is given. */
function readRange({ kind, minimum, maximum, cap }: MetricDefinition): Pick<MetricDefinition, 'minimum' | 'maximum'> {
  if (kind === 'proportion') {
    if ((minimum ?? 0) !== 0) throw badInput('input.minimum', 'A PROPORTION is 0 or 1; its minimum is 0.');
    if ((maximum ?? 1) !== 1) throw badInput('input.maximum', 'A PROPORTION is 0 or 1; its maximum is 1.');
    if (cap !== null) throw badInput('input.cap', 'A PROPORTION is 0 or 1 and has no cap.');
    return { minimum: 0, maximum: 1 };
  }
  const least = kind === 'count' ? (minimum ?? 0) : minimum;
  if (kind === 'count' && (least ?? 0) < 0) throw badInput('input.minimum', 'A COUNT has a minimum of 0 or more.');
  if (least !== null && maximum !== null && maximum <= least)
    throw badInput('input.maximum', `The maximum must be above the minimum, which is ${least}.`);
  if (cap !== null && ((least !== null && cap <= least) || (maximum !== null && cap > maximum)))
    throw badInput('input.cap', 'The cap must be above the minimum, and not above the maximum.');
  return { minimum: least, maximum };
}

/**
 * Reads the definition that a client gives.
 *
 * @throws BAD_USER_INPUT at `input.…` for the first fault
 */
export function readMetricDefinition(input: MetricDefinitionInput): MetricDefinition {
  const { kind } = input;
  const draft: MetricDefinition = {
    key: validateMetricName(input.key, 'input.key'),
    kind,
    unit:
      input.unit === null || input.unit === undefined
        ? null
        : readLabel(input.unit, 'input.unit', { what: 'A unit', max: MAX_UNIT }),
    minimum: finiteOrNull(input.minimum, 'input.minimum'),
    maximum: finiteOrNull(input.maximum, 'input.maximum'),
    better: input.better ?? null,
    cap: finiteOrNull(input.cap, 'input.cap'),
    window: readWindow(input.window),
  };
  return { ...draft, ...readRange(draft) };
}

/** Gives a definition as the audit log shows it. */
export function definitionContent(definition: MetricDefinition): JsonObject {
  const { key, kind, unit, minimum, maximum, better, cap, window } = definition;
  return { key, kind, unit, minimum, maximum, better, cap, windowSeconds: window === null ? null : window / 1_000 };
}
