/**
 * The parts that experimenters explore beside the result: segments, the effect over time, the vehicles of an analysis.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { MAX_PAGE } from '../../../../core/wire/api/pages.ts';
import { readPage } from '../../../../core/wire/api/pagination.ts';
import { countingOf, rangeOfComparison } from '../../settled/calibrating.ts';
import type { Calibration } from '../../settled/calibration.ts';
import type { AnalysedVehicle, GroupedVehicles } from '../../settled/grouped-vehicles.ts';
import type { Epoch, SettledVehicles } from '../../settled/settled-vehicles.ts';
import { effectInPart, effectOverTime, type EffectAtDay, type PartialEffect } from '../../statistics/exploration.ts';
import { mapArms, type Arms } from '../../statistics/moments.ts';
import type { Experiment } from '../experiment.ts';
import { comparedUntil, epochOf, planOf, type ExperimentLooks, type Watched } from '../looks/look.ts';
import { measurementsEnd } from '../results.ts';

/** The dimensions by which experiments are divided. */
export type SegmentDimension = 'model' | 'region' | 'swVersion';

/** A part of an experiment's vehicles, by what they were before their exposure. */
export interface Segment extends PartialEffect {
  /** Null for vehicles that were not registered. */
  readonly value: string | null;
  readonly exposed: Arms<number>;
}

/** The effect at the end of a day of an experiment, which may be the time of the request. */
export interface EffectAtTime extends EffectAtDay {
  readonly at: Date;
}

/** A page of the vehicles of an analysis. */
export interface AnalysedPage {
  readonly vehicles: readonly AnalysedVehicle[];
  readonly more: boolean;
}

/** The most segments of one answer, those with the most vehicles; points of an effect over time; and rows of a page. */
export const EXPLORATION_LIMITS = { segments: 20, points: 30, analysedVehicles: MAX_PAGE } as const;
const DAY_MS = 86_400_000;

/** The reads of the metrics store. */
type Vehicles = GroupedVehicles & Pick<SettledVehicles, 'first' | 'history'>;

interface Ready {
  readonly watched: Watched;
  readonly epoch: Epoch;
  readonly calibration: Calibration;
}

/** Looks into experiments that have started. All methods throw SERVICE_UNAVAILABLE when the metrics store is down. */
export class ExplorationService {
  constructor(
    private readonly looks: Pick<ExperimentLooks, 'watched'>,
    private readonly vehicles: Vehicles,
  ) {}

  /**
   * Gives the effect by what vehicles were before their exposure, those of most vehicles first. Null before the start,
   * and while the metric has no range.
   */
  async segments(experiment: Experiment, by: SegmentDimension): Promise<Segment[] | null> {
    const ready = await this.#ready(experiment);
    const plan = ready && planOf(ready.watched, ready.calibration);
    if (ready === null || plan === null) return null;
    const groups = await this.vehicles.groups(ready.epoch, countingOf(ready.calibration), by);
    const size = ({ arms }: (typeof groups)[number]) => arms.control.exposed + arms.treatment.exposed;
    const greatest = groups.sort((a, b) => size(b) - size(a)).slice(0, EXPLORATION_LIMITS.segments);
    const segments: Segment[] = [];
    for (const { key, arms } of greatest) {
      const effect = effectInPart(arms, plan, experiment.confidenceLevel);
      const exposed = mapArms(arms, (arm) => arm.exposed);
      segments.push({ value: key === '' ? null : key, exposed, ...effect });
      // Others' requests go between two segments.
      await nextTurn();
    }
    return segments;
  }

  /** Gives the effect at the end of each day, as it was known then; at most 30 points. Null as for `segments`. */
  async overTime(experiment: Experiment): Promise<EffectAtTime[] | null> {
    const ready = await this.#ready(experiment);
    const plan = ready && planOf(ready.watched, ready.calibration);
    if (ready === null || plan === null) return null;
    const groups = await this.vehicles.groups(ready.epoch, countingOf(ready.calibration), 'day');
    const days = groups.map(({ key, arms }) => ({ day: Number(key), arms }));
    const start = experiment.startDate.getTime();
    const points: EffectAtTime[] = [];
    const { confidenceLevel } = experiment;
    const seen = ready.watched.state.evidence;
    for (const effect of effectOverTime(days, plan, confidenceLevel, EXPLORATION_LIMITS.points, seen)) {
      const at = new Date(Math.min(start + (effect.day + 1) * DAY_MS, ready.epoch.now.getTime()));
      points.push({ ...effect, at });
      await nextTurn();
    }
    return points;
  }

  /**
   * Gives a page of the vehicles that an analysis uses, in the order of their exposures' ids. Null as for `segments`.
   *
   * @throws BAD_USER_INPUT at the argument
   */
  async analysed(
    experiment: Experiment,
    { first, after }: { readonly first?: number | null; readonly after?: string | null },
  ): Promise<AnalysedPage | null> {
    const { limit, cursor } = readPage({ first: first ?? MAX_PAGE, after: after ?? null });
    const ready = await this.#ready(experiment);
    if (ready === null) return null;
    const counting = countingOf(ready.calibration);
    const vehicles = await this.vehicles.vehicles(ready.epoch, counting, cursor, limit + 1);
    return { vehicles: vehicles.slice(0, limit), more: vehicles.length > limit };
  }

  /** Gives what of an experiment is looked into: of a completed one, what its result counted. */
  async #ready(experiment: Experiment): Promise<Ready | null> {
    const { status, results } = experiment;
    if (status !== 'running' && (status !== 'completed' || results?.countedUntil == null)) return null;
    const watched = await this.looks.watched(experiment);
    const until = comparedUntil(watched, results?.countedUntil ?? measurementsEnd(experiment, new Date()));
    const calibration =
      watched.state.calibration ??
      (await rangeOfComparison(watched.state.definition, epochOf(watched, null, until), this.vehicles, false));
    return calibration === null ? null : { watched, calibration, epoch: epochOf(watched, calibration, until) };
  }
}
