/**
 * The verdict of an experiment, in words. The numbers are those of the test that decides, so words and numbers agree.
 */
import type { GuardDirection, ResultsOfExperimentQuery } from '../generated/operations.ts';
import type { Spoken } from '../words/spoken.ts';

export type ShownResults = NonNullable<NonNullable<ResultsOfExperimentQuery['experiment']>['results']>;

/** Gives a percentage with its sign, such as `+4.2%`. */
export const signed = (value: number, { formats }: Spoken) => `${value > 0 ? '+' : ''}${formats.roundedPercent(value)}`;

/** Gives an effect in percent with its sign; a dash without one. */
export const effectText = (value: number | null | undefined, spoken: Spoken) =>
  value === null || value === undefined ? '–' : signed(value, spoken);

/** Gives the numbers of vehicles in both arms. */
export const armsText = (
  { control, treatment }: { readonly control: number; readonly treatment: number },
  { words, formats }: Spoken,
) => words.experiments.vehiclesOf(formats.number(control), formats.number(treatment));

/** Gives an interval of percentages; a dash where it is unbounded. */
export function intervalText(interval: readonly number[] | null | undefined, spoken: Spoken): string {
  const [low, high] = interval ?? [];
  if (low === undefined || high === undefined) return '–';
  return spoken.words.experiments.interval(signed(low, spoken), signed(high, spoken));
}

/** Gives a percentage, rounded; a dash without one. */
export const percentText = (value: number | null | undefined, { formats }: Spoken) =>
  value === null || value === undefined ? '–' : formats.roundedPercent(value);

/** The least p-value that is shown as a number; for less, the text says "below" it. */
const LEAST_P = 0.0001;

/** Gives a p-value; a dash without one. */
export function pText(value: number | null, { words, formats }: Spoken): string {
  if (value === null) return '–';
  return value < LEAST_P ? words.experiments.below(formats.rounded(LEAST_P)) : formats.rounded(value);
}

/**
 * Gives the sentences about the primary metric.
 *
 * @param better the direction that is better; null where the metric does not declare one
 */
function findingOf(results: ShownResults, better: GuardDirection | null, ended: boolean, spoken: Spoken): string[] {
  const texts = spoken.words.experiments.verdicts;
  const { significant, improvementPercent: effect, confidenceInterval, detectablePercent } = results;
  if (!significant)
    return [
      ended ? texts.nothing : texts.nothingYet,
      detectablePercent === null ? texts.noPower : texts.power(spoken.formats.roundedPercent(detectablePercent)),
    ];
  const [low, high] = confidenceInterval ?? [];
  if (effect === null || low === undefined || high === undefined) return [texts.differs];
  const isHigher = effect > 0;
  const said = (isHigher ? texts.higher : texts.lower)(
    spoken.formats.roundedPercent(Math.abs(effect)),
    signed(low, spoken),
    signed(high, spoken),
  );
  if (better === null) return [said];
  return [said, isHigher === (better === 'HIGHER') ? texts.isBetter : texts.isWorse];
}

/**
 * Gives the sentences of a verdict: whether the arms can be compared at all, the finding, and the test behind it.
 *
 * @param ended whether later measurements no longer change the result
 */
export function verdictSentences(
  results: ShownResults,
  better: GuardDirection | null,
  ended: boolean,
  spoken: Spoken,
): readonly string[] {
  const texts = spoken.words.experiments.verdicts;
  if (results.sampleRatioMismatch.detected) return [texts.mismatch];
  return [
    ...findingOf(results, better, ended, spoken),
    results.decidedBy === 'SEQUENTIAL' ? texts.sequential : texts.fixed,
    ...(results.forcedReason === null ? [] : [texts.forced(spoken.words.quoted(results.forcedReason))]),
  ];
}
