/**
 * An analysis after the end of an experiment, of all that has arrived since, beside the result that was stored. It has
 * the range and the plan of the result, decides nothing and stores nothing. docs/guides/experiments.md, "Complete".
 */
import { analyse, VARIANTS, type Analysis, type Variant } from '../statistics/analyse.ts';
import type { ComputedResults, Experiment } from './experiment.ts';
import type { FurtherLooks } from './looks/further-looks.ts';
import type { ExperimentLooks } from './looks/look.ts';

/** A number of the results whose stored value differs from the new one. A value that cannot be computed is null. */
export interface ReanalysedNumber {
  /** Its name in the results; a number of an arm has the arm in front, such as `treatment.mean`. */
  readonly number: string;
  readonly stored: number | null;
  readonly now: number | null;
}

/** The analysis beside the stored result. */
export interface Reanalysis {
  readonly results: ComputedResults;
  readonly winnerVariant: Variant | null;
  /** Whether the new analysis has another winner than the stored result, or none. */
  readonly decidesOtherwise: boolean;
  readonly differences: readonly ReanalysedNumber[];
}

/** The time for which the metrics store keeps measurements. An experiment that began earlier has lost some of them. */
const KEPT_MS = 180 * 86_400_000;
/** The relative difference below which two numbers count as the same: sums in another order round differently. */
const ROUNDING = 1e-9;

const OF_ARMS = ['vehicles', 'mean', 'standardDeviation', 'exposed', 'outOfRange', 'neverReported'] as const;

function numbersOf(analysis: Analysis): Map<string, number | null> {
  const numbers = new Map<string, number | null>();
  for (const [index, variant] of VARIANTS.entries()) {
    const summary = analysis.variants[index];
    for (const name of OF_ARMS) numbers.set(`${variant}.${name}`, summary?.[name] ?? null);
  }
  const { difference, improvementPercent, pValue, sequentialPValue, fixedHorizonPValue } = analysis;
  const { detectablePercent, vehiclesInBothArms, sampleRatioMismatch } = analysis;
  const others = { difference, improvementPercent, pValue, sequentialPValue, fixedHorizonPValue };
  const more = { detectablePercent, vehiclesInBothArms, 'sampleRatioMismatch.pValue': sampleRatioMismatch.pValue };
  for (const [name, number] of Object.entries({ ...others, ...more })) numbers.set(name, number ?? null);
  return numbers;
}

const isSame = (one: number | null, other: number | null) =>
  one === null || other === null
    ? one === other
    : Math.abs(one - other) <= ROUNDING * Math.max(Math.abs(one), Math.abs(other));

/** Gives the numbers of two analyses that differ, in the order of the results. */
function differencesOf(stored: Analysis, later: Analysis): ReanalysedNumber[] {
  const now = numbersOf(later);
  return Array.from(numbersOf(stored), ([number, before]) => ({
    number,
    stored: before,
    now: now.get(number) ?? null,
  })).filter((one) => !isSame(one.stored, one.now));
}

/** Gives the winner of an analysis; null where there is none, or where the sample ratio does not fit the plan. */
export const winnerOf = ({ sampleRatioMismatch, winner }: Analysis): Variant | null =>
  sampleRatioMismatch.detected ? null : winner;

/** Analyses completed experiments again. */
export class ExperimentReanalysis {
  constructor(
    private readonly looks: ExperimentLooks,
    private readonly furtherLooks: FurtherLooks,
  ) {}

  /**
   * Analyses a completed experiment again, with late rows. Null while it has not been completed, where its metric never
   * had a range, for results of earlier versions, and when its first measurements are no longer kept.
   *
   * @throws SERVICE_UNAVAILABLE when the metrics store does not answer
   */
  async of(experiment: Experiment): Promise<Reanalysis | null> {
    const { status, results: stored, startDate, endDate, confidenceLevel, winnerVariant } = experiment;
    const computedAt = new Date();
    if (status !== 'completed' || stored?.countedUntil == null) return null;
    if (computedAt.getTime() - startDate.getTime() > KEPT_MS) return null;
    const watched = { ...(await this.looks.watched(experiment)), lateBy: computedAt };
    if (watched.state.calibration === null) return null;
    // Where a changed draw ended the comparison, exposures went on until the end.
    const changed = watched.draws[1]?.since.getTime() === stored.countedUntil.getTime();
    const at = changed ? (endDate ?? stored.countedUntil) : stored.countedUntil;
    const { sums, gathered, countedUntil } = await this.looks.look(watched, at);
    const running = stored.analysis.decidedBy === 'sequential';
    const analysis = analyse(sums, gathered, { confidenceLevel, running });
    const further = await this.furtherLooks.look(watched, countedUntil);
    const winner = winnerOf(analysis);
    return {
      results: { analysis, further, computedAt, countedUntil, forcedReason: stored.forcedReason },
      winnerVariant: winner,
      decidesOtherwise: winner !== winnerVariant,
      differences: differencesOf(stored.analysis, analysis),
    };
  }
}
