/**
 * The metrics of an experiment beside its primary one, and the checks of their input. Source:
 * docs/guides/experiments.md.
 */
import { badInput, FleetFlagError } from '../../../core/errors.ts';
import { isJsonObject, isOneOf } from '../../../core/json/json-value.ts';
import type { JsonObject, JsonValue } from '../../../core/model.ts';
import { GUARD_DIRECTIONS, readWorsePercent, type GuardDirection } from '../../../core/rollouts/rollout-guard.ts';
import { validateMetricName } from '../../../core/wire/vehicle/metric.ts';

/** A metric that may be found to differ, too, after correction for their number. */
export interface SecondaryMetric {
  readonly metric: string;
  /** The direction in which it gets better. */
  readonly better: GuardDirection;
}

/** A metric that must not get worse. */
export interface Guardrail {
  readonly metric: string;
  /** The direction in which it gets worse. */
  readonly worse: GuardDirection;
  /** The most by which the treatment may be worse than control, in percent of the control's mean. */
  readonly maxWorsePercent: number;
}

/** The metrics of an experiment beside its primary one. */
export interface FurtherMetrics {
  readonly secondaryMetrics: readonly SecondaryMetric[];
  readonly guardrails: readonly Guardrail[];
}

/** A guardrail as a client gives it. */
type GuardrailInput = Omit<Guardrail, 'maxWorsePercent'> & { readonly maxWorsePercent?: number | null };

/** The lists as a client gives them; what is absent is empty. */
export interface FurtherMetricsInput {
  readonly secondaryMetrics?: readonly SecondaryMetric[] | null;
  readonly guardrails?: readonly GuardrailInput[] | null;
}

/** The most metrics of each list: each is read at every look. */
export const MAX_FURTHER_METRICS = 10;

function checkLength(list: readonly unknown[], path: string): void {
  if (list.length <= MAX_FURTHER_METRICS) return;
  const message = `An experiment may have at most ${MAX_FURTHER_METRICS} of them.`;
  throw new FleetFlagError('LIMIT_EXCEEDED', message, { field: path, limit: MAX_FURTHER_METRICS });
}

/**
 * Reads the lists that a client gives. Each metric of the experiment has one role.
 *
 * @throws BAD_USER_INPUT at `input.…` for the first fault; LIMIT_EXCEEDED at the list for more than 10
 */
export function readFurtherMetrics(primaryMetric: string, input: FurtherMetricsInput): FurtherMetrics {
  const [secondary, guardrails] = [input.secondaryMetrics ?? [], input.guardrails ?? []];
  checkLength(secondary, 'input.secondaryMetrics');
  checkLength(guardrails, 'input.guardrails');
  const known = new Set([primaryMetric]);
  const readMetric = (given: string, path: string) => {
    const metric = validateMetricName(given, path);
    if (known.has(metric)) throw badInput(path, `${JSON.stringify(metric)} is a metric of this experiment already.`);
    known.add(metric);
    return metric;
  };
  return {
    secondaryMetrics: secondary.map(({ metric, better }, index) => ({
      metric: readMetric(metric, `input.secondaryMetrics.${index}.metric`),
      better,
    })),
    guardrails: guardrails.map(({ metric, worse, maxWorsePercent }, index) => ({
      metric: readMetric(metric, `input.guardrails.${index}.metric`),
      worse,
      maxWorsePercent: readWorsePercent(worse, maxWorsePercent ?? 0, `input.guardrails.${index}.maxWorsePercent`),
    })),
  };
}

const objectsOf = (column: string, stored: JsonValue): readonly JsonObject[] => {
  if (Array.isArray(stored) && stored.every(isJsonObject)) return stored;
  throw new Error(`${column} holds ${JSON.stringify(stored)}, which is no list of metrics`);
};

function directionOf(column: string, stored: JsonValue | undefined): GuardDirection {
  if (typeof stored === 'string' && isOneOf(GUARD_DIRECTIONS, stored)) return stored;
  throw new Error(`${column} holds the direction ${JSON.stringify(stored)}`);
}

function nameOf(column: string, stored: JsonValue | undefined): string {
  if (typeof stored === 'string') return stored;
  throw new Error(`${column} holds the metric ${JSON.stringify(stored)}`);
}

/** Gives the lists as they are stored. Throws an Error for columns that hold anything else. */
export function storedFurtherMetrics(secondaryMetrics: JsonValue, guardrails: JsonValue): FurtherMetrics {
  const [secondary, guarded] = ['experiments.secondary_metrics', 'experiments.guardrails'] as const;
  return {
    secondaryMetrics: objectsOf(secondary, secondaryMetrics).map((row) => ({
      metric: nameOf(secondary, row['metric']),
      better: directionOf(secondary, row['better']),
    })),
    guardrails: objectsOf(guarded, guardrails).map((row) => ({
      metric: nameOf(guarded, row['metric']),
      worse: directionOf(guarded, row['worse']),
      maxWorsePercent: Number(row['maxWorsePercent']),
    })),
  };
}

/** Gives the lists as the audit log and the columns have them. */
export function furtherMetricsContent({ secondaryMetrics, guardrails }: FurtherMetrics): {
  readonly secondaryMetrics: JsonObject[];
  readonly guardrails: JsonObject[];
} {
  return {
    secondaryMetrics: secondaryMetrics.map(({ metric, better }) => ({ metric, better })),
    guardrails: guardrails.map(({ metric, worse, maxWorsePercent }) => ({ metric, worse, maxWorsePercent })),
  };
}
