/** The form of an experiment as data: what was typed, what is wrong with it, and the API's input. */
import type {
  ExperimentPlanFragment,
  GuardDirection,
  GuardrailInput,
  SecondaryMetricInput,
} from '../generated/operations.ts';
import type { Spoken } from '../words/spoken.ts';
import { localTime } from '../parts/local-time.ts';
import { typedNumber } from '../rollouts/plan.ts';

/** A secondary metric as it is typed. */
export interface SecondaryDraft {
  /** Distinguishes the rows of a form. */
  readonly id: number;
  readonly metric: string;
  readonly better: GuardDirection;
}

/** A guardrail metric as it is typed, with the percentage by which it may be worse. */
export interface GuardrailDraft {
  readonly id: number;
  readonly metric: string;
  readonly worse: GuardDirection;
  readonly maxWorsePercent: string;
}

/** An experiment as it is typed. Dates are as `<input type="datetime-local">` gives them, in the viewer's zone. */
export interface ExperimentDraft {
  readonly flagKey: string;
  readonly name: string;
  readonly description: string;
  readonly startDate: string;
  readonly endDate: string;
  readonly sampleSize: string;
  readonly confidence: string;
  readonly primaryMetric: string;
  readonly secondaryMetrics: readonly SecondaryDraft[];
  readonly guardrails: readonly GuardrailDraft[];
}

/** Gives the draft of a new experiment on a flag, which begins now. */
export const newExperimentDraft = (flagKey: string, now: Date): ExperimentDraft => ({
  flagKey,
  name: '',
  description: '',
  startDate: localTime(now),
  endDate: '',
  sampleSize: '',
  confidence: '95',
  primaryMetric: '',
  secondaryMetrics: [],
  guardrails: [],
});

/** Gives the draft of an experiment that is planned already. */
export const experimentDraftOf = (experiment: ExperimentPlanFragment): ExperimentDraft => ({
  flagKey: experiment.flag.key,
  name: experiment.name,
  description: experiment.description ?? '',
  startDate: localTime(new Date(experiment.startDate)),
  endDate: experiment.endDate === null ? '' : localTime(new Date(experiment.endDate)),
  sampleSize: String(experiment.sampleSize),
  confidence: String(Math.round(experiment.confidenceLevel * 10_000) / 100),
  primaryMetric: experiment.primaryMetric,
  secondaryMetrics: experiment.secondaryMetrics.map((one, id) => ({ ...one, id })),
  guardrails: experiment.guardrails.map((one, id) => ({ ...one, id, maxWorsePercent: String(one.maxWorsePercent) })),
});

/** Gives what people compare of two plans, under the names that the form gives it. */
export function experimentContentOf(plan: ExperimentPlanFragment, { words, formats }: Spoken): object {
  const texts = words.experiments;
  return {
    [texts.name]: plan.name,
    [texts.description]: plan.description,
    [texts.primaryMetric]: plan.primaryMetric,
    [texts.confidence]: formats.percent(plan.confidenceLevel * 100),
    [texts.startDate]: formats.time(plan.startDate),
    [texts.endDate]: plan.endDate === null ? null : formats.time(plan.endDate),
    [texts.sampleSize]: formats.number(plan.sampleSize),
    [texts.secondary]: plan.secondaryMetrics.map(({ metric, better }) => `${metric} (${texts.betterIs[better]})`),
    [texts.guardrails]: plan.guardrails.map(
      ({ metric, worse, maxWorsePercent }) =>
        `${metric} (${words.rollouts.worseIs[worse]}, ${formats.percent(maxWorsePercent)})`,
    ),
  };
}

/** The faults of a form: the names of texts (`words.experiments.wrong`) at the paths of the API's input. */
export type WrongExperiment = Readonly<Record<string, 'text' | 'date' | 'later' | 'size' | 'percent' | 'notNegative'>>;

const isEmpty = (text: string) => text.trim() === '';

/** Finds what is wrong before it is sent; the control plane checks all of it again. */
export function wrongMembers(draft: ExperimentDraft): WrongExperiment {
  const wrong: Record<string, WrongExperiment[string]> = {};
  for (const member of ['flagKey', 'name', 'primaryMetric'] as const)
    if (isEmpty(draft[member])) wrong[`input.${member}`] = 'text';
  const start = new Date(draft.startDate).getTime();
  if (Number.isNaN(start)) wrong['input.startDate'] = 'date';
  if (draft.endDate !== '' && !(new Date(draft.endDate).getTime() > start)) wrong['input.endDate'] = 'later';
  const size = typedNumber(draft.sampleSize);
  if (!(Number.isInteger(size) && size >= 2)) wrong['input.sampleSize'] = 'size';
  const level = typedNumber(draft.confidence);
  if (!(level > 0 && level < 100)) wrong['input.confidenceLevel'] = 'percent';
  for (const [index, { metric }] of draft.secondaryMetrics.entries())
    if (isEmpty(metric)) wrong[`input.secondaryMetrics.${index}.metric`] = 'text';
  for (const [index, { metric, maxWorsePercent }] of draft.guardrails.entries()) {
    if (isEmpty(metric)) wrong[`input.guardrails.${index}.metric`] = 'text';
    if (!(typedNumber(maxWorsePercent) >= 0)) wrong[`input.guardrails.${index}.maxWorsePercent`] = 'notNegative';
  }
  return wrong;
}

/** Gives the members that the API takes for a new draft and for a changed one. They are right by `wrongMembers`. */
export function experimentInputOf(draft: ExperimentDraft) {
  return {
    name: draft.name.trim(),
    description: isEmpty(draft.description) ? null : draft.description.trim(),
    startDate: new Date(draft.startDate).toISOString(),
    endDate: draft.endDate === '' ? null : new Date(draft.endDate).toISOString(),
    sampleSize: typedNumber(draft.sampleSize),
    confidenceLevel: Math.round(typedNumber(draft.confidence) * 100) / 10_000,
    primaryMetric: draft.primaryMetric.trim(),
    secondaryMetrics: draft.secondaryMetrics.map(({ metric, better }): SecondaryMetricInput => ({
      metric: metric.trim(),
      better,
    })),
    guardrails: draft.guardrails.map(({ metric, worse, maxWorsePercent }): GuardrailInput => ({
      metric: metric.trim(),
      worse,
      maxWorsePercent: typedNumber(maxWorsePercent),
    })),
  };
}
