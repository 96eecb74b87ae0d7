/**
 * Looks at an experiment's secondary metrics and guardrails. A secondary metric is tested as the primary one is, with
 * Holm's correction of p = 1 / max E; a guardrail as a rollout's guard is, on its own, because a correction would hide
 * harm. docs/reference/statistics.md, "Several metrics: Holm's correction".
 */
import type { GuardVerdict } from '../../../../core/rollouts/rollout-guard.ts';
import { isObject } from '../../../../core/json/json-value.ts';
import type { PrismaClient } from '../../../../prisma/generated/client.ts';
import { findDefinition } from '../../definitions/definition-store.ts';
import type { MetricDefinition } from '../../definitions/metric-definition.ts';
import { isGuardState, NOTHING_SEEN, withEarlier, type GuardState } from '../../guards/guard-evidence.ts';
import { lookAt } from '../../guards/guard-look.ts';
import { judge, type GuardWatch } from '../../guards/guard-verdict.ts';
import { countingOf, rangeOfComparison } from '../../settled/calibrating.ts';
import { UNDECLARED, type Calibration } from '../../settled/calibration.ts';
import type { ComparedVehicles } from '../../settled/compared-vehicles.ts';
import type { SettledVehicles } from '../../settled/settled-vehicles.ts';
import { allVehicles } from '../../statistics/cuped.ts';
import {
  effectEvidence,
  gathered,
  NO_EVIDENCE,
  type EffectEvidence,
} from '../../statistics/evidence/effect-evidence.ts';
import { effectOf, type PartialEffect } from '../../statistics/exploration.ts';
import { holm } from '../../statistics/holm.ts';
import { isMissingNumber, mapArms, type Arms } from '../../statistics/moments.ts';
import { compareSequentially } from '../../statistics/evidence/sequential-comparison.ts';
import { rowCount } from '../../../shared/postgres/rows.ts';
import type { Transaction } from '../../../shared/postgres/transaction.ts';
import type { Guardrail, SecondaryMetric } from '../further-metrics.ts';
import { columnsOf, joinLook, type KeptRow } from './kept-evidence.ts';
import { epochOf, SILENCE_MS, planOf, timesOf, type Watched } from './look.ts';

/** Whether a secondary metric is shown to be better or worse, after correction. */
export type SecondaryFinding = 'better' | 'worse' | 'none';

/** The findings on a secondary metric. Numbers are null until the metric has a range and vehicles. */
export interface SecondaryResult extends SecondaryMetric {
  readonly effect: PartialEffect | null;
  /** 1 / max E over all looks, and with Holm's correction. */
  readonly pValue: number | null;
  readonly adjustedPValue: number | null;
  readonly finding: SecondaryFinding;
}

/** The findings on a guardrail. */
export interface GuardrailResult extends Guardrail {
  readonly verdict: GuardVerdict;
  readonly vehicles: Arms<number>;
  readonly means: Arms<number | null>;
  readonly worsePercent: number | null;
  readonly worsePercentAtLeast: number | null;
  readonly detectablePercent: number | null;
  readonly outOfRange: Arms<number>;
  readonly neverReported: Arms<number>;
  readonly pValue: number | null;
}

/** The findings on all metrics beside the primary one. */
export interface FurtherResults {
  readonly secondaryMetrics: readonly SecondaryResult[];
  readonly guardrails: readonly GuardrailResult[];
}

type Uncorrected = Omit<SecondaryResult, 'adjustedPValue'>;

/** The state of a metric: its declaration at the start, its range and the evidence gathered. */
interface MetricState {
  readonly definition: MetricDefinition | null;
  readonly calibration: Calibration | null;
  readonly evidence: EffectEvidence;
  /** The evidence where the metric is a guardrail. */
  readonly guard: GuardState;
}

const MINIMUM_VEHICLES = 50;

function isState(stored: unknown): stored is MetricState {
  return isObject(stored) && isObject(stored['evidence']) && isGuardState(stored['guard']);
}

/** Gives the row in which the state of a metric is kept. */
const keptOf = (experimentId: string, metric: string): KeptRow<MetricState> => {
  const where = { experimentId_metric: { experimentId, metric } };
  return {
    async read(db) {
      const { state } = await db.experimentMetricEvidence.findUniqueOrThrow({ where });
      if (isState(state)) return state;
      throw new Error(`experiment_metric_evidence.state of ${experimentId}, ${metric} holds no state`);
    },
    lock: (tx) =>
      rowCount(
        tx,
      )`SELECT FROM experiment_metric_evidence WHERE experiment_id = ${experimentId}::uuid AND metric = ${metric} FOR UPDATE`,
    write: (tx, data) => tx.experimentMetricEvidence.update({ where, data }),
    rangeOf: ({ calibration, guard }) => calibration ?? guard.calibration,
  };
};

/** Writes what is declared of each metric of an experiment that starts. */
export async function beginFurtherMetrics(
  tx: Transaction,
  experimentId: string,
  metrics: readonly string[],
): Promise<void> {
  for (const metric of metrics) {
    const definition = await findDefinition(tx, metric);
    const begun: MetricState = { definition, calibration: null, evidence: NO_EVIDENCE, guard: NOTHING_SEEN };
    await tx.experimentMetricEvidence.create({ data: { experimentId, metric, ...columnsOf(begun) } });
  }
}

/** Looks at secondary metrics and guardrails. */
export class FurtherLooks {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly settled: SettledVehicles,
    private readonly compared: ComparedVehicles,
  ) {}

  /**
   * Looks at the vehicles as they were at a time, and keeps what that look excludes, unless it is after the end.
   *
   * @throws SERVICE_UNAVAILABLE when the metrics store does not answer
   */
  async look(watched: Watched, until: Date): Promise<FurtherResults> {
    const { secondaryMetrics, guardrails, confidenceLevel } = watched.experiment;
    const found: Uncorrected[] = [];
    for (const secondary of secondaryMetrics) found.push(await this.#secondary(watched, secondary, until));
    const adjusted = holm(found.map(({ pValue }) => pValue));
    const guarded: GuardrailResult[] = [];
    for (const guardrail of guardrails) guarded.push(await this.#guardrail(watched, guardrail, until));
    return {
      secondaryMetrics: found.map((result, index) => {
        const adjustedPValue = adjusted[index] ?? null;
        const rejected = adjustedPValue !== null && adjustedPValue < 1 - confidenceLevel;
        return { ...result, adjustedPValue, finding: rejected ? result.finding : 'none' };
      }),
      guardrails: guarded,
    };
  }

  async #secondary(watched: Watched, secondary: SecondaryMetric, until: Date): Promise<Uncorrected> {
    const { metric, better } = secondary;
    const { confidenceLevel, id } = watched.experiment;
    const before = await keptOf(id, metric).read(this.prisma);
    const of = (calibration: Calibration | null) => {
      const { kind, window } = calibration ?? before.definition ?? UNDECLARED;
      return { ...epochOf(watched, calibration, until), metric, kind, window };
    };
    const calibration =
      before.calibration ?? (await rangeOfComparison(before.definition, of(null), this.settled, false));
    const plan = planOf(watched, calibration);
    const nothing: Uncorrected = { metric, better, effect: null, pValue: null, finding: 'none' };
    if (calibration === null || plan === null) return nothing;
    const arms = await this.compared.sums(of(calibration), countingOf(calibration));
    const places = mapArms(arms, (arm) => arm.places);
    const found = effectEvidence(places, plan, 1 - confidenceLevel);
    const state = await this.#keep(watched, metric, calibration, (stored) => ({
      ...stored,
      calibration,
      evidence: gathered(stored.evidence, found),
    }));
    if (state === null) return this.#secondary(watched, secondary, until);
    const { evidence } = state;
    const parts = mapArms(arms, (arm) => ({ moments: allVehicles(arm), places: arm.places }));
    const vehicles = mapArms(parts, ({ moments }) => moments.count);
    const { pValue } = compareSequentially({ evidence, plan }, vehicles, confidenceLevel);
    const ahead = evidence.logHigher >= evidence.logLower ? 'higher' : 'lower';
    return {
      ...nothing,
      effect: effectOf(parts, evidence, plan, confidenceLevel),
      pValue: isMissingNumber(pValue) ? null : pValue,
      finding: ahead === better ? 'better' : 'worse',
    };
  }

  async #guardrail(watched: Watched, guardrail: Guardrail, until: Date): Promise<GuardrailResult> {
    const { experiment, state: draw, flagKey } = watched;
    const { metric, worse, maxWorsePercent } = guardrail;
    const { confidenceLevel, startDate, id } = experiment;
    const limit = { metric, worse, maxWorsePercent, bound: null, confidenceLevel, minimumVehicles: MINIMUM_VEHICLES };
    const times = { silence: SILENCE_MS, watchFor: 0, watch: 1, watchedSince: startDate };
    const guard: GuardWatch = { ...limit, ...times, serves: draw.threshold > 0 };
    const { salt, threshold } = draw;
    const { definition, guard: seen } = await keptOf(id, metric).read(this.prisma);
    const asked = { id, flagKey, guard, definition, salt, threshold, state: seen, ...timesOf(watched, until) };
    const look = await lookAt(asked, this.settled);
    const state = await this.#keep(watched, metric, look.state.calibration, (stored) => ({
      ...stored,
      guard: withEarlier(look.state, stored.guard),
    }));
    if (state === null) return this.#guardrail(watched, guardrail, until);
    const { verdict, figures } = judge(guard, { ...look, state: state.guard }, until);
    const { worsePercent, worsePercentAtLeast, detectablePercent, outOfRange, neverReported, pValue } = figures;
    return {
      ...guardrail,
      verdict,
      vehicles: { control: figures.controlVehicles, treatment: figures.treatmentVehicles },
      means: { control: figures.controlMean, treatment: figures.treatmentMean },
      ...{ worsePercent, worsePercentAtLeast, detectablePercent, outOfRange, neverReported, pValue },
    };
  }

  /** Adds to a metric's state what a look has found; `joinLook` says what it gives. */
  #keep(
    { experiment: { id }, lateBy }: Watched,
    metric: string,
    range: Calibration | null,
    joined: (stored: MetricState) => MetricState,
  ): Promise<MetricState | null> {
    return joinLook(this.prisma, keptOf(id, metric), range, joined, lateBy === null);
  }
}
