/** Steps of tests with measurements: what vehicles report, and what the API gives of it. */
import { randomUUID } from 'node:crypto';
import type { Caller } from '../../../core/access/caller.ts';
import { user, type Ask, silent } from '../../shared/testing/asking.ts';
import { type TestDatabase, createTestDatabase } from '../../shared/testing/test-database.ts';
import { type TestMetricsStore, createTestMetricsStore } from '../../shared/testing/test-metrics-store.ts';
import { type StartedExperiments, startExperiments } from '../subgraph.ts';
import type { MetricsStore } from '../../shared/stores/metrics-store.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

interface Point {
  at: string;
  variant: string;
  count: number;
  sum: number;
  mean: number;
  vehicles: number;
}

/** Two instances on the same stores: neither knows what the other has stored. */
export class MetricInstances {
  private constructor(
    readonly database: TestDatabase,
    private readonly own: TestMetricsStore,
    readonly instances: readonly [StartedExperiments, StartedExperiments],
  ) {}

  /** Starts them on a new test database and a new store. */
  static async start(): Promise<MetricInstances> {
    const [database, own] = await Promise.all([createTestDatabase(), createTestMetricsStore()]);
    const { prisma } = database.database;
    const start = () => startExperiments({ prisma, metrics: own.store, logger: silent, keepsStatistics: false });
    return new MetricInstances(database, own, [await start(), await start()]);
  }

  get store(): MetricsStore {
    return this.own.store;
  }

  /** A folder for other files of the test. */
  get folder(): string {
    return this.own.folder;
  }

  async drop(): Promise<void> {
    await Promise.all(this.instances.map((instance) => instance.close()));
    await Promise.all([this.own.drop(), this.database.drop()]);
  }
}

/** Gives the steps on two instances on the same stores: vehicles report to the first, and the second is read. */
export function metricTestSteps(running: () => readonly [Ask, Ask]) {
  const REPORT = 'mutation($input: MetricBatchInput!) { reportMetrics(input: $input) { accepted duplicates dropped } }';
  const POINTS = `query($flag: _Any!, $metric: String!, $from: DateTime!, $to: DateTime!, $interval: MetricInterval) {
  _entities(representations: [$flag]) { ... on Flag { metrics(metric: $metric, from: $from, to: $to, interval: $interval) { at variant count sum mean vehicles } } } }`;

  const newKey = () => `flag_${randomUUID().slice(0, 8)}`;
  let vehicles = 0;
  const newVehicle = (): Caller & { vin: string } => ({
    kind: 'vehicle',
    vin: `KMHL14JA5PA${`${++vehicles}`.padStart(6, '0')}`,
    environment: 'production',
  });

  /** Gives a time in the middle of an hour, `hours` ago. */
  const ago = (hours: number) => Math.floor(Date.now() / HOUR) * HOUR - hours * HOUR + 30 * MINUTE;
  const item = (flagKey: string, value: number, at = ago(2), more: object = {}) => ({
    flagKey,
    variant: 'treatment',
    metricName: 'charge_minutes',
    value,
    timestamp: new Date(at).toISOString(),
    ...more,
  });
  const report = (vehicle: Caller, items: readonly object[], batchId: string = randomUUID(), ask = running()[0]) =>
    ask(vehicle, REPORT, { input: { batchId, items } });
  const receipt = (accepted: number, duplicates = 0, dropped = 0) => ({
    data: { reportMetrics: { accepted, duplicates, dropped } },
    errors: [],
  });

  const askPoints = (key: string, more: object = {}) =>
    running()[1]<{ _entities: [{ metrics: Point[] }] }>(user('READ'), POINTS, {
      flag: { __typename: 'Flag', id: randomUUID(), key },
      metric: 'charge_minutes',
      from: new Date(ago(26)).toISOString(),
      to: new Date(ago(-1)).toISOString(),
      ...more,
    });
  const pointsOf = async (key: string, more: object = {}) => (await askPoints(key, more)).data._entities[0].metrics;

  /** Gives the totals by all three intervals: from the rows and from the roll-ups. */
  const totals = async (key: string) =>
    Promise.all(
      ['MINUTE', 'HOUR', 'DAY'].map(async (interval) => {
        const points = await pointsOf(key, {
          interval,
          from: new Date(ago(10)).toISOString(),
          to: new Date(ago(0)).toISOString(),
        });
        return [points.reduce((sum, point) => sum + point.count, 0), points.reduce((sum, point) => sum + point.sum, 0)];
      }),
    );
  const everywhere = (count: number, sum: number) => Array.from({ length: 3 }, () => [count, sum]);

  return { REPORT, POINTS, newKey, newVehicle, ago, item, report, receipt, askPoints, pointsOf, totals, everywhere };
}
