/** Experiments with vehicles whose measurements are stored, and what an analysis of the same vehicles gives here. */
import { randomUUID } from 'node:crypto';
import { expect } from '@jest/globals';
import { BUCKETS, bucketing } from '../../../core/evaluation/bucket.ts';
import { user } from '../../shared/testing/asking.ts';
import { analyse, type Analysis, type ArmSums } from '../statistics/analyse.ts';
import {
  countsOf,
  draws,
  evenSplit,
  gatheredBy,
  momentsOf,
  NOTHING_GATHERED,
  pairedMomentsOf,
} from '../statistics/testing/simulated-vehicles.ts';
import { findState, type ExperimentState } from '../experiments/looks/experiment-state.ts';
import { createTestMetricsStore } from '../../shared/testing/test-metrics-store.ts';
import { ExperimentsUnderTest } from './experiments-under-test.ts';
import { ExperimentsWithStore } from './experiments-with-store.ts';
import { deployMetricsMigrations } from '../clickhouse/migrations.ts';

const COMPARISON =
  'difference differenceInterval pValue improvementPercent confidenceInterval missing { number reason }';
const BOTH_TESTS =
  'sequentialPValue sequentialDifferenceInterval sequentialConfidenceInterval fixedHorizonPValue fixedHorizonDifferenceInterval fixedHorizonConfidenceInterval deltaPValue';
export const RESULTS_SELECTION = `{ variants { variant vehicles observations mean standardDeviation exposed outOfRange neverReported } ${COMPARISON} ${BOTH_TESTS} detectablePercent cuped { theta coverage varianceReduction ${COMPARISON} }
  significant decidedBy sampleRatioMismatch { detected pValue } vehiclesInBothArms disturbances { at action by { id } } countedUntil computedAt }`;
const DAY = 24 * 3_600_000;
/** Declared metrics: minutes count with the first measurement, energy in a window of an hour; one has large numbers. */
export const MEASURED_MINUTES = 'charge_minutes';
export const MEASURED_ENERGY = 'energy_kwh';
export const MEASURED_METRES = 'odometer';
const HOUR = 3_600_000;

export interface MeasuredRow {
  readonly vin: string;
  readonly variant: string;
  readonly value: number;
  readonly at: Date;
  readonly metric?: string;
  readonly received?: Date;
}

export interface MeasuredVehicle {
  readonly variant: 'control' | 'treatment';
  readonly values: readonly number[];
  readonly history: readonly number[];
}

/** The experiments subgraph with a metrics store, and metrics that are declared. */
export class MeasuredExperiments extends ExperimentsWithStore {
  /** Starts the subgraph on a new test database and a new store. */
  static async start(): Promise<MeasuredExperiments> {
    const own = await createTestMetricsStore();
    await deployMetricsMigrations(own.store.client);
    const experiments = await ExperimentsUnderTest.start(own.store);
    await experiments.prisma.metricDefinition.createMany({
      data: [
        { key: MEASURED_MINUTES, kind: 'mean', minimum: 0, maximum: 200 },
        { key: MEASURED_ENERGY, kind: 'mean', minimum: 0, maximum: 100, windowMs: HOUR },
        { key: MEASURED_METRES, kind: 'mean', minimum: 0, maximum: 1e8 },
      ],
    });
    return new MeasuredExperiments(own, experiments);
  }
}

/** Gives the steps of tests with measured experiments. */
export function measuredExperimentSteps(running: () => MeasuredExperiments) {
  let vehicles = 0;
  /** Gives a new vehicle of an arm of a rule at 50 %. */
  function newVin(flagKey: string, variant: string, threshold = BUCKETS / 2): string {
    for (;;) {
      const vin = `KMH${String(++vehicles).padStart(14, '0')}`;
      if (bucketing(flagKey)(vin) < threshold === (variant === 'treatment')) return vin;
    }
  }

  /** Stores rows as one batch of each vehicle; the same batch is stored `times` times, each in its own block. */
  async function store(
    flagKey: string,
    rows: readonly MeasuredRow[],
    times = 1,
    batch: string = randomUUID(),
  ): Promise<void> {
    const values = rows.map(({ vin, variant, value, at, metric = MEASURED_MINUTES, received = at }, position) => ({
      flag_key: flagKey,
      metric,
      at: at.toISOString().replace('Z', ''),
      vin,
      batch_id: batch,
      position,
      variant,
      value,
      tags: '',
      received_at: received.toISOString().replace('Z', ''),
    }));
    for (let time = 0; time < times; time += 1)
      await running().metrics.client.insert({ table: 'metric_rows', values, format: 'JSONEachRow' });
  }

  /** Gives rows for the vehicles' measurements before and after `start`; history spans the fourteen days before it. */
  function rowsOf(
    flagKey: string,
    measured: readonly MeasuredVehicle[],
    start: Date,
    metric = MEASURED_MINUTES,
  ): MeasuredRow[] {
    const rows = measured.flatMap(({ variant, values, history }) => {
      const vin = newVin(flagKey, variant);
      return [
        ...values.map((value, index) => ({ vin, variant, value, at: new Date(start.getTime() + index * 60_000) })),
        ...history.map((value, index) => ({
          vin,
          variant: 'control',
          value,
          at: new Date(start.getTime() - 1 - index * DAY),
        })),
      ];
    });
    return rows.map((row) => ({ ...row, metric }));
  }

  /** Rows that arrive now, after a look: an arrival in the past would have been seen by it. */
  const arrivingNow = (rows: readonly MeasuredRow[]): MeasuredRow[] =>
    rows.map((row) => ({ ...row, received: new Date() }));

  const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

  /** The numbers of an arm's vehicles: the first measurement of each, which is the one that counts. */
  const numbersOf = (measured: readonly MeasuredVehicle[], variant: MeasuredVehicle['variant']) =>
    measured.filter((vehicle) => vehicle.variant === variant).map(({ values }) => values[0] ?? NaN);

  /** Computes the sums directly from the vehicles. */
  function sumsOf(
    measured: readonly MeasuredVehicle[],
    variant: MeasuredVehicle['variant'],
    otherVariant: number,
  ): ArmSums {
    const own = measured.filter((vehicle) => vehicle.variant === variant);
    const [paired, alone] = [
      own.filter(({ history }) => history.length > 0),
      own.filter(({ history }) => history.length === 0),
    ];
    return {
      withHistory: pairedMomentsOf(
        numbersOf(paired, variant),
        paired.map(({ history }) => meanOf(history)),
      ),
      withoutHistory: momentsOf(numbersOf(alone, variant)),
      ...countsOf(own.length),
      observations: own.reduce((sum, { values }) => sum + values.length, 0),
      otherVariant,
    };
  }

  /** Gives what the experiment keeps. */
  async function stateOf(id: string): Promise<ExperimentState> {
    return findState(running().prisma, id);
  }

  /** Analyses the vehicles here, in the range that the experiment has fixed. */
  async function analysed(
    id: string,
    measured: readonly MeasuredVehicle[],
    running: boolean,
    otherVariant = 0,
  ): Promise<Analysis> {
    const arms = { control: sumsOf(measured, 'control', 0), treatment: sumsOf(measured, 'treatment', otherVariant) };
    // A look fixes the range.
    await resultsOf(id);
    const { calibration } = await stateOf(id);
    const values = { control: numbersOf(measured, 'control'), treatment: numbersOf(measured, 'treatment') };
    const gathered = calibration && gatheredBy(values, { binary: false, share: 0.5, range: calibration.range });
    return analyse({ arms, exposures: evenSplit(arms) }, gathered ?? NOTHING_GATHERED, {
      confidenceLevel: 0.95,
      running,
    });
  }

  /**
   * Creates vehicles whose treatment lowers the measurement by `effect`; most have history that explains part of it.
   */
  function fleet(seed: number, inEachArm: number, effect: number, level = 40): MeasuredVehicle[] {
    const draw = draws(seed);
    return Array.from({ length: 2 * inEachArm }, (_, index) => {
      const variant = index % 2 === 0 ? ('control' as const) : ('treatment' as const);
      const own = level + 5 * draw.normal();
      const readings = (count: number, off: number) =>
        Array.from({ length: count }, () => own - off + 2 * draw.normal());
      return {
        variant,
        values: readings(1 + (index % 4), variant === 'treatment' ? effect : 0),
        history: readings(index % 5, 0),
      };
    });
  }

  /** Gives an analysis as the API shows it. */
  function shown(analysis: Analysis): Record<string, unknown> {
    const spelled = (missing: Analysis['missing']) =>
      missing.map(({ number, reason }) => ({ number, reason: reason.toUpperCase().replaceAll('-', '_') }));
    const { winner: _, cuped, variants, missing, decidedBy, ...rest } = analysis;
    return {
      ...rest,
      variants: variants.map((variant) => ({
        ...variant,
        mean: variant.mean ?? 0,
        standardDeviation: variant.standardDeviation ?? 0,
      })),
      cuped: cuped && { ...cuped, missing: spelled(cuped.missing) },
      missing: spelled(missing),
      decidedBy: decidedBy.toUpperCase().replace('-', '_'),
    };
  }

  /** Lists where two values differ: numbers by more than nine digits, everything else by anything. */
  function differences(actual: unknown, expected: unknown, path = ''): unknown[] {
    if (typeof expected === 'number' && typeof actual === 'number') {
      const isAlike = Math.abs(actual - expected) <= 1e-9 * Math.max(1e-300, Math.abs(expected));
      return isAlike ? [] : [[path, actual, expected]];
    }
    if (typeof expected === 'object' && expected !== null && typeof actual === 'object' && actual !== null) {
      const [keys, wanted] = [Object.keys(actual).sort(), Object.keys(expected).sort()];
      if (keys.join() !== wanted.join()) return [[path, keys, wanted]];
      return Object.entries(expected).flatMap(([key, value]) =>
        differences((actual as Record<string, unknown>)[key], value, `${path}.${key}`),
      );
    }
    return Object.is(actual, expected) ? [] : [[path, actual, expected]];
  }

  /** One assertion for all of it: one for each number took a tenth of this file's time. */
  const expectAlike = (actual: unknown, expected: unknown) => expect(differences(actual, expected)).toEqual([]);

  async function resultsOf(id: string): Promise<Record<string, unknown>> {
    const answer = await running().experiments.ask<{ experiment: { results: Record<string, unknown> } }>(
      user('READ'),
      `query($id: ID!) { experiment(id: $id) { results ${RESULTS_SELECTION} } }`,
      { id },
    );
    expect(answer.errors).toEqual([]);
    return answer.data.experiment.results;
  }

  async function expectResults(id: string, analysis: Analysis): Promise<void> {
    const { computedAt, countedUntil, disturbances, ...numbers } = await resultsOf(id);
    expect(Date.parse(countedUntil as string)).toBeLessThanOrEqual(Date.parse(computedAt as string));
    expect(Date.parse(computedAt as string)).toBeLessThanOrEqual(Date.now());
    expect(disturbances).toEqual([]);
    expectAlike(numbers, shown(analysis));
  }

  const since = (days: number) => new Date(Math.floor(Date.now() / 1_000) * 1_000 - days * DAY);

  return {
    store,
    rowsOf,
    arrivingNow,
    sumsOf,
    stateOf,
    analysed,
    fleet,
    shown,
    expectAlike,
    resultsOf,
    expectResults,
    since,
    newVin,
  };
}
