/** An experiment as the control plane stores it, and the checks of its input. */
import { badInput } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/model.ts';
import { validateMetricName } from '../../../core/wire/metric.ts';
import { readLine } from '../../../core/validation/text.ts';
import { validateFlagDescription } from '../../../core/validation/validate-flag.ts';
import type { CreateExperimentInput, UpdateExperimentInput } from '../generated/resolvers.ts';
import type { Analysis, Variant } from '../statistics/analyse.ts';

/** The lifecycle of an experiment; `completed` and `cancelled` are final. */
export const EXPERIMENT_STATUSES = ['draft', 'running', 'completed', 'cancelled'] as const;
export type ExperimentStatus = (typeof EXPERIMENT_STATUSES)[number];

/** The part of an experiment that people plan. */
export interface ExperimentPlan {
  readonly name: string;
  readonly description: string | null;
  /** A draft's planned start; after the start, the actual one. */
  readonly startDate: Date;
  readonly endDate: Date | null;
  /** The planned number of vehicles in each arm. */
  readonly sampleSize: number;
  /** Between 0 and 1. */
  readonly confidenceLevel: number;
  readonly primaryMetric: string;
}

/** An analysis and the time when it was computed. */
export interface ComputedResults {
  readonly analysis: Analysis;
  readonly computedAt: Date;
  /** Why the test for the planned end decided before it; null where it did not. */
  readonly forcedReason: string | null;
}

/** Gives the p-value of the test that decided. */
export function decisivePValue({ decidedBy, pValue, sequentialPValue }: Analysis): number | null {
  return decidedBy === 'sequential' ? sequentialPValue : pValue;
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
  const plan: ExperimentPlan = {
    name: readLine(input.name, 'input.name', { what: 'A name', max: 200 }),
    description: validateFlagDescription(input.description, 'input.description'),
    startDate,
    endDate,
    sampleSize,
    confidenceLevel,
    primaryMetric: validateMetricName(input.primaryMetric, 'input.primaryMetric'),
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
 * Gives `plan` with the changes in `input`, validated as a whole; null clears a description or an end. Throws
 * BAD_USER_INPUT at `input.…` for the first fault.
 */
export function editPlan(
  { name, description, startDate, endDate, sampleSize, confidenceLevel, primaryMetric }: ExperimentPlan,
  input: UpdateExperimentInput,
): ExperimentPlan {
  for (const field of ['name', 'startDate', 'sampleSize', 'confidenceLevel', 'primaryMetric'] as const) {
    if (input[field] === null)
      throw badInput(`input.${field}`, `${field} must not be null; omit it to keep the current value.`);
  }
  const given = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined));
  return readPlan({ name, description, startDate, endDate, sampleSize, confidenceLevel, primaryMetric, ...given });
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
  };
}
