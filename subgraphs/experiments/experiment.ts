/** An experiment as the control plane keeps it, and what may be written of one. */
import { badInput } from '../../core/errors.ts';
import type { JsonObject } from '../../core/model.ts';
import { checkText } from '../../core/rules/json.ts';
import { validateFlagDescription } from '../../core/rules/validate-flag.ts';

export type ExperimentStatus = 'draft' | 'running' | 'completed' | 'cancelled';

/** What people plan. */
export interface ExperimentPlan {
  readonly name: string;
  readonly description: string | null;
  readonly startDate: Date;
  readonly endDate: Date | null;
  /** Vehicles wanted in each arm. */
  readonly sampleSize: number;
  /** Between 0 and 1. */
  readonly confidenceLevel: number;
  readonly primaryMetric: string;
}

export interface Experiment extends ExperimentPlan {
  readonly id: string;
  readonly flagId: string;
  readonly status: ExperimentStatus;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export interface CreateExperimentInput {
  readonly flagKey: string;
  readonly name: string;
  readonly description?: string | null;
  readonly startDate: Date;
  readonly endDate?: Date | null;
  readonly sampleSize: number;
  readonly confidenceLevel?: number | null;
  readonly primaryMetric: string;
}

const DEFAULT_CONFIDENCE = 0.95;
/** A variance needs two vehicles in each arm. */
const MIN_SAMPLE = 2;

function text(value: string, limit: number, path: string, what: string): string {
  if (value.trim() === '' || Array.from(value).length > limit) throw badInput(path, `${what} has 1 to ${limit} characters and is not blank.`);
  checkText(value, path);
  return value;
}

/** The plan in `input`. Throws BAD_USER_INPUT at `input.…` for the first fault. */
export function readPlan(input: CreateExperimentInput): ExperimentPlan {
  const { startDate, endDate = null, sampleSize } = input;
  const confidenceLevel = input.confidenceLevel ?? DEFAULT_CONFIDENCE;
  const plan: ExperimentPlan = {
    name: text(input.name, 200, 'input.name', 'A name'),
    description: validateFlagDescription(input.description, 'input.description'),
    startDate,
    endDate,
    sampleSize,
    confidenceLevel,
    primaryMetric: text(input.primaryMetric, 100, 'input.primaryMetric', 'A metric'),
  };
  for (const [field, date] of [['startDate', startDate], ['endDate', endDate]] as const) {
    if (date !== null && date.getTime() < 0) throw badInput(`input.${field}`, `${field} is before 1970.`);
  }
  if (endDate !== null && endDate <= startDate) throw badInput('input.endDate', 'endDate is not after startDate.');
  if (sampleSize < MIN_SAMPLE) throw badInput('input.sampleSize', `sampleSize is ${sampleSize}; each arm needs ${MIN_SAMPLE} vehicles or more.`);
  // The column holds two decimals: 0.955 would silently become another level.
  if (confidenceLevel <= 0 || confidenceLevel >= 1 || Number(confidenceLevel.toFixed(2)) !== confidenceLevel) {
    throw badInput('input.confidenceLevel', `confidenceLevel is ${confidenceLevel}; it lies between 0 and 1 and has two decimals.`);
  }
  return plan;
}

/** What the audit trail shows of an experiment. */
export function experimentContent(experiment: Experiment): JsonObject {
  const { id, name, description, status, startDate, endDate, sampleSize, confidenceLevel, primaryMetric } = experiment;
  return { id, name, description, status, startDate: startDate.toISOString(), endDate: endDate?.toISOString() ?? null, sampleSize, confidenceLevel, primaryMetric };
}
