import { expect, test } from '@jest/globals';
import type { MetricDefinition } from '../../definitions/metric-definition.ts';
import { PLACES } from '../../statistics/evidence/places.ts';
import { NO_EVIDENCE } from '../../statistics/evidence/effect-evidence.ts';
import type { GroupedVehicles, GroupOfVehicles } from '../../settled/grouped-vehicles.ts';
import { calibrateDeclared, type Sample } from '../../settled/calibration.ts';
import type { Experiment } from '../experiment.ts';
import { EXPLORATION_LIMITS, ExplorationService } from './exploration-service.ts';

const definition: MetricDefinition = {
  key: 'charge_minutes',
  kind: 'mean',
  unit: null,
  minimum: 0,
  maximum: 100,
  better: null,
  cap: null,
  window: null,
};
const nobody: Sample = {
  source: 'history',
  vehicles: 0,
  mean: NaN,
  low: NaN,
  high: NaN,
  most: NaN,
  binary: false,
  vins: [],
};

const experiment: Experiment = {
  ...{ id: 'e', flagId: 'f', name: 'E', description: null, status: 'running', startDate: new Date(0), endDate: null },
  ...{ sampleSize: 500, confidenceLevel: 0.95, primaryMetric: 'charge_minutes', secondaryMetrics: [], guardrails: [] },
  ...{ treatmentShare: 0.5, winnerVariant: null, results: null, cancelReason: null },
  ...{ createdAt: new Date(0), updatedAt: new Date(0) },
};

/** Gives groups that take the longest to analyse: they have vehicles at each place of the range. */
function groups(count: number): GroupOfVehicles[] {
  const places = Array.from({ length: PLACES + 1 }, (_, place) => ({ place, vehicles: 100 }));
  const arm = { exposed: 100_100, moments: { count: 100_100, mean: 50, m2: 100_100 * 834 }, places };
  return Array.from({ length: count }, (_, key) => ({ key: String(key), arms: { control: arm, treatment: arm } }));
}

function service(): ExplorationService {
  const state = { salt: 's', threshold: 50_000, definition, calibration: calibrateDeclared(definition, nobody) };
  const draws = [{ salt: 's', threshold: 50_000, since: experiment.startDate }];
  const vehicles: GroupedVehicles = { groups: async () => groups(40), vehicles: async () => [] };
  const watched = {
    experiment,
    state: { ...state, evidence: NO_EVIDENCE },
    flagKey: 'flag',
    draws,
    disturbedAt: null,
    lateBy: null,
  };
  return new ExplorationService(
    { watched: async () => watched },
    { ...vehicles, first: async () => nobody, history: async () => nobody },
  );
}

/** Gives how often others have had their turn while something was computed. */
async function turnsDuring(computed: Promise<unknown>): Promise<number> {
  let [turns, computing] = [0, true];
  const turn = () => {
    turns += 1;
    if (computing) setImmediate(turn);
  };
  setImmediate(turn);
  await computed;
  computing = false;
  return turns;
}

test.each([
  ['segments', EXPLORATION_LIMITS.segments, () => service().segments(experiment, 'model')],
  ['points', EXPLORATION_LIMITS.points, () => service().overTime(experiment)],
])('others have their turn between two %s, of which there are at most %d', async (_, most, compute) => {
  const answer = compute();
  expect(await turnsDuring(answer)).toBeGreaterThanOrEqual(most);
  expect(await answer).toHaveLength(most);
});
