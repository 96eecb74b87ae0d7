/** An experiment as the control plane stores it, and the checks of its input. */
import { badInput } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/model.ts';
import { validateMetricName } from '../../../core/wire/vehicle/metric.ts';
import { readLine } from '../../../core/validation/text.ts';
import { validateFlagDescription } from '../../../core/validation/validate-flag.ts';
import type { CreateExperimentInput, UpdateExperimentInput } from '../generated/resolvers.ts';
import type { FurtherResults } from './looks/further-looks.ts';
import { furtherMetricsContent, readFurtherMetrics, type FurtherMetrics } from './further-metrics.ts';
import type { Analysis, Variant } from '../statistics/analyse.ts';

/** The lifecycle of an experiment; `completed` and `cancelled` are final. */
export const EXPERIMENT_STATUSES = ['draft', 'running', 'completed', 'cancelled'] as const;
/** One of `EXPERIMENT_STATUSES`. */
export type ExperimentStatus = (typeof EXPERIMENT_STATUSES)[number];

/** The part of an experiment that people plan. */
export interface ExperimentPlan extends FurtherMetrics {
  readonly name: string;
  readonly description: string | null;
  /** A draft's planned start; after the start, the actual one. */
  readonly startDate: Date;
  readonly endDate: Date | null;
  /** The planned number of vehicles in each arm. */
  readonly sampleSize: number;
  /** The confidence of the tests, between 0 and 1. */
  readonly confidenceLevel: number;
  readonly primaryMetric: string;
}

/** An analysis and the time when it was computed. */
export interface ComputedResults {
  readonly analysis: Analysis;
  /** The results of the further metrics; null in results of earlier versions. */
  readonly further: FurtherResults | null;
  readonly computedAt: Date;
  /** The time by which a vehicle must have settled to count; null in results of earlier versions. */
  readonly countedUntil: Date | null;
  /** The reason why the test for the planned end decided before it; null where it did not. */
  readonly forcedReason: string | null;
}

/** An experiment with its plan and its state. */
export interface Experiment extends ExperimentPlan {
  readonly id: string;
  readonly flagId: string;
  readonly status: ExperimentStatus;
  /** The share of vehicles that the flag's rollout gave the treatment at the start, 0 to 1; null before the start. */
  readonly treatmentShare: number | null;
  readonly winnerVariant: Variant | null;
  /** The results at completion; null before it. */
  readonly results: ComputedResults | null;
  readonly cancelReason: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A plan as a client gives it. */
type PlanInput = Omit<CreateExperimentInput, 'flagKey'>;

const DEFAULT_CONFIDENCE = 0.95;
/** Computing a variance needs two vehicles in each arm. */
const MIN_SAMPLE = 2;

/** Gives the plan in `input`. Throws BAD_USER_INPUT at `input.…` for the first fault. */
export function readPlan(input: PlanInput): ExperimentPlan {
  const { startDate, endDate = null, sampleSize } = input;
  const confidenceLevel = input.confidenceLevel ?? DEFAULT_CONFIDENCE;
  const primaryMetric = validateMetricName(input.primaryMetric, 'input.primaryMetric');
  const plan: ExperimentPlan = {
    name: readLine(input.name, 'input.name', { what: 'A name', max: 200 }),
    description: validateFlagDescription(input.description, 'input.description'),
    startDate,
    endDate,
    sampleSize,
    confidenceLevel,
    primaryMetric,
    ...readFurtherMetrics(primaryMetric, input),
  };
  for (const [field, date] of [
    ['startDate', startDate],
    ['endDate', endDate],
  ] as const) {
    if (date !== null && date.getTime() < 0) throw badInput(`input.${field}`, `${field} must not be before 1970.`);
  }
  if (endDate !== null && endDate <= startDate) throw badInput('input.endDate', 'endDate must be after startDate.');
  if (sampleSize < MIN_SAMPLE)
    throw badInput(
      'input.sampleSize',
      `sampleSize is ${sampleSize}; it must be at least ${MIN_SAMPLE} vehicles in each arm.`,
    );
  // The column holds two decimals, so 0.955 would silently become another level.
  if (confidenceLevel <= 0 || confidenceLevel >= 1 || Number(confidenceLevel.toFixed(2)) !== confidenceLevel) {
    throw badInput(
      'input.confidenceLevel',
      `confidenceLevel is ${confidenceLevel}; it must be between 0 and 1 with at most two decimals.`,
    );
  }
  return plan;
}

/**
 * Gives `plan` with the changes in `input`, validated as a whole; null clears a description, an end or a list. Throws
 * BAD_USER_INPUT at `input.…` for the first fault.
 */
export function editPlan(before: ExperimentPlan, input: UpdateExperimentInput): ExperimentPlan {
  const { name, description, startDate, endDate, sampleSize, confidenceLevel, primaryMetric } = before;
  const { secondaryMetrics, guardrails } = before;
  for (const field of ['name', 'startDate', 'sampleSize', 'confidenceLevel', 'primaryMetric'] as const) {
    if (input[field] === null)
      throw badInput(`input.${field}`, `${field} must not be null; omit it to keep the current value.`);
  }
  const given = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined));
  const further = { secondaryMetrics: [...secondaryMetrics], guardrails: [...guardrails] };
  const kept = { name, description, startDate, endDate, sampleSize, confidenceLevel, primaryMetric, ...further };
  return readPlan({ ...kept, ...given });
}

/** Gives an experiment as the audit log shows it. */
export function experimentContent(experiment: Experiment): JsonObject {
  const { id, name, description, status, startDate, endDate, sampleSize, confidenceLevel, primaryMetric } = experiment;
  return {
    id,
    name,
    description,
    status,
    startDate: startDate.toISOString(),
    endDate: endDate?.toISOString() ?? null,
    sampleSize,
    confidenceLevel,
    primaryMetric,
    ...furtherMetricsContent(experiment),
  };
}
