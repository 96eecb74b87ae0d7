/** Guarded rollouts on a test database, with what vehicles have measured under them. */
import { randomUUID } from 'node:crypto';
import { expect } from '@jest/globals';
import { BUCKETS, bucketing } from '../../../core/evaluation/bucket.ts';
import type { GuardFigures } from '../../../core/rollouts/rollout-guard.ts';
import type { Prisma } from '../../../prisma/generated/client.ts';
import { silent } from '../../shared/testing/asking.ts';
import { METRIC_COLUMNS } from '../metrics/metric-batch.ts';
import { type SettledVehicles, storedSettledVehicles } from '../settled/settled-vehicles.ts';
import { type FlagUnderTest, ExperimentsUnderTest } from './experiments-under-test.ts';
import { ExperimentsWithStore } from './experiments-with-store.ts';
import type { GuardState } from '../guards/guard-evidence.ts';
import { GuardVerdictJob } from '../guards/guard-verdict-job.ts';
import { type TestMetricsStore, createTestMetricsStore } from '../../shared/testing/test-metrics-store.ts';
import { MetricTables } from '../metrics/metric-store.ts';
import { ExposureRecorder } from '../exposures/exposure-recorder.ts';

/** Metrics that are declared: whether charging failed, how long it took; and one that is not. */
const METRIC = 'charge_failed';
export const MINUTES_METRIC = 'charge_minutes';
export const UNDECLARED_METRIC = 'charge_kwh';
export const MINUTE = 60_000;

interface Guarded extends FlagUnderTest {
  readonly rolloutId: string;
  readonly ruleId: string;
}

export interface GuardRow {
  readonly value: number;
  readonly vin: string;
  readonly variant?: string;
  readonly minutesAgo?: number;
  readonly arrivedMinutesAgo?: number;
  readonly metric?: string;
}

type Arm = 'control' | 'treatment';

/** The experiments subgraph with a metrics store, and metrics that guards can watch. */
export class GuardsUnderTest extends ExperimentsWithStore {
  private constructor(
    own: TestMetricsStore,
    experiments: ExperimentsUnderTest,
    readonly tables: MetricTables,
    readonly stored: SettledVehicles,
  ) {
    super(own, experiments);
  }

  /** Starts the subgraph on a new test database and a new store. */
  static async start(): Promise<GuardsUnderTest> {
    const own = await createTestMetricsStore();
    const tables = new MetricTables(own.store.client);
    const stored = storedSettledVehicles(own.store, tables, new ExposureRecorder(own.store.client, tables));
    const experiments = await ExperimentsUnderTest.start(own.store);
    await experiments.prisma.metricDefinition.createMany({
      data: [
        { key: METRIC, kind: 'proportion', minimum: 0, maximum: 1 },
        { key: MINUTES_METRIC, kind: 'mean', minimum: 0, maximum: 60 },
        { key: 'faults', kind: 'count', minimum: 0, maximum: 10, windowMs: 5 * MINUTE },
        { key: 'energy', kind: 'mean', minimum: 0, maximum: 100, windowMs: 5 * MINUTE },
      ],
    });
    return new GuardsUnderTest(own, experiments, tables, stored);
  }
}

/** Gives the steps of tests with guards. */
export function guardTestSteps(running: () => GuardsUnderTest) {
  let vehicles = 0;
  /** Creates an instance's job: by default one for which every verdict is due. */
  const job = ({ interval = 0, settled = running().stored }: { interval?: number; settled?: SettledVehicles } = {}) =>
    new GuardVerdictJob(running().prisma, settled, silent, interval);

  /** Creates a flag whose rule has a percentage, with a rollout that has been watched for `minutes` minutes. */
  async function guarded(
    over: Partial<Prisma.RolloutGuardUncheckedCreateInput> = {},
    { percentage = 50, minutes = 10, status = 'running' } = {},
  ): Promise<Guarded> {
    const flag = await running().experiments.newFlag([{ conditions: { rollout_percentage: percentage } }]);
    const { id: ruleId } = await running().prisma.rule.findFirstOrThrow({ where: { flagId: flag.id } });
    const guard = {
      metric: METRIC,
      worse: 'higher',
      maxWorsePercent: 5,
      confidenceLevel: 0.95,
      minimumVehicles: 4,
      silenceMs: 30 * MINUTE,
      watchForMs: MINUTE,
      initialPercentage: 0,
      watch: 2,
      watchedSince: new Date(Date.now() - minutes * MINUTE),
      ...over,
    };
    const { id } = await running().prisma.rollout.create({
      data: {
        flagId: flag.id,
        ruleId,
        environment: 'staging',
        status,
        scheduledById: running().experiments.writer.userId ?? '',
        guard: { create: guard },
        steps: {
          create: [
            { position: 1, percentage: 50, dueAt: new Date() },
            { position: 2, percentage: 100, dueAt: new Date() },
          ],
        },
      },
    });
    return { ...flag, rolloutId: id, ruleId };
  }

  const clickHouseTime = (minutesAgo: number) =>
    new Date(Date.now() - minutesAgo * MINUTE).toISOString().slice(0, 23).replace('T', ' ');

  /** Gives a new vehicle whose bucket is between two percentages of the flag. */
  function vehicle({ key }: FlagUnderTest, from: number, to: number): string {
    for (;;) {
      const vin = `KMH${String(++vehicles).padStart(14, '0')}`;
      const percent = (100 * bucketing(key)(vin)) / BUCKETS;
      if (percent >= from && percent < to) return vin;
    }
  }

  /** Gives measurements, each of a new vehicle of an arm of a rule at 50 %. */
  const arm = (flag: FlagUnderTest, which: Arm, values: readonly number[], more: Partial<GuardRow> = {}): GuardRow[] =>
    values.map((value) => ({
      value,
      vin: which === 'treatment' ? vehicle(flag, 0, 50) : vehicle(flag, 50, 100),
      variant: which,
      ...more,
    }));

  const times = (count: number, value: number) => Array<number>(count).fill(value);
  /** Charging fails in no vehicle of control, and in each of the treatment; or in none. */
  const bad = (flag: FlagUnderTest) => [...arm(flag, 'control', times(10, 0)), ...arm(flag, 'treatment', times(10, 1))];
  const good = (flag: FlagUnderTest) => [
    ...arm(flag, 'control', times(10, 0)),
    ...arm(flag, 'treatment', times(10, 0)),
  ];

  /** Stores measurements; twice, as batches may be. */
  async function measured({ key }: FlagUnderTest, rows: readonly GuardRow[]): Promise<void> {
    await running().tables.make();
    const values = rows.map(
      (
        { variant = 'control', value, vin, minutesAgo = 1, arrivedMinutesAgo = minutesAgo, metric = METRIC },
        position,
      ) => [
        key,
        metric,
        clickHouseTime(minutesAgo),
        vin,
        randomUUID(),
        position,
        variant,
        value,
        '',
        clickHouseTime(arrivedMinutesAgo),
      ],
    );
    for (let time = 0; time < 2; time += 1)
      await running().metrics.client.insert({
        table: 'metric_rows',
        columns: [...METRIC_COLUMNS],
        values,
        format: 'JSONCompactEachRow',
      });
  }

  async function verdict({
    rolloutId,
  }: Guarded): Promise<{ watch: number; verdict: string; figures: GuardFigures; computedAt: Date } | null> {
    const row = await running().prisma.rolloutVerdict.findUnique({ where: { rolloutId } });
    return row === null ? null : { ...row, figures: row.figures as unknown as GuardFigures };
  }

  async function stateOf({ rolloutId }: Guarded): Promise<GuardState> {
    const { state } = await running().prisma.rolloutEvidence.findUniqueOrThrow({ where: { rolloutId } });
    return state as unknown as GuardState;
  }

  /** Raises the rule's percentage as a step does; or resumes, where it stays. */
  async function nextWatch({ ruleId, rolloutId }: Guarded, percentage: number): Promise<void> {
    await running().prisma.rule.update({
      where: { id: ruleId },
      data: { conditions: { rollout_percentage: percentage } },
    });
    const watchedSince = new Date();
    await running().prisma.rolloutGuard.update({
      where: { rolloutId },
      data: { watch: { increment: 1 }, watchedSince },
    });
  }

  /** Asks for what the guard of a rollout has seen, as a gateway does. */
  async function history({
    rolloutId,
  }: Guarded): Promise<{ verdict: string; at: string; treatmentMean: number | null }[]> {
    const { data, errors } = await running().experiments.ask<{ _entities: [{ guardHistory: never[] }] }>(
      running().experiments.writer,
      `query ($rollout: _Any!) { _entities(representations: [$rollout]) { ... on Rollout {
      guardHistory { at verdict controlVehicles treatmentVehicles controlMean treatmentMean worsePercent worsePercentAtLeast } } } }`,
      { rollout: { __typename: 'Rollout', id: rolloutId } },
    );
    expect(errors).toEqual([]);
    return data._entities[0].guardHistory;
  }

  return { job, guarded, vehicle, arm, times, bad, good, measured, verdict, stateOf, nextWatch, history };
}
