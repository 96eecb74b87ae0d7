/**
 * Rows of the statistics benchmark whose promise is another one than 5 %: the sample ratio, several metrics, a metric
 * that nobody declared, and the false alarms of ordinary tests that are repeated at each look.
 */
import { BUCKETS } from '../../core/evaluation/bucket.ts';
import {
  afterLook,
  NOTHING_SEEN,
  shareOf,
  withEpoch,
  withRange,
} from '../../subgraphs/experiments/guards/guard-evidence.ts';
import { betsOf, testsOf } from '../../subgraphs/experiments/guards/guard-tests.ts';
import { binaryCalibration, calibrate, type Calibration } from '../../subgraphs/experiments/settled/calibration.ts';
import { NOBODY } from '../../subgraphs/experiments/settled/settled-vehicles.ts';
import { logThreshold, pValueOf } from '../../subgraphs/experiments/statistics/evidence/accumulated-evidence.ts';
import { logFactor } from '../../subgraphs/experiments/statistics/evidence/bets.ts';
import { detectablePercent } from '../../subgraphs/experiments/statistics/evidence/detectable.ts';
import { evidenceOfEffect, logOfDirection } from '../../subgraphs/experiments/statistics/evidence/effect-evidence.ts';
import { PLACES } from '../../subgraphs/experiments/statistics/evidence/places.ts';
import { holm } from '../../subgraphs/experiments/statistics/holm.ts';
import { isMissingNumber, mapArms, type Arms } from '../../subgraphs/experiments/statistics/moments.ts';
import { sampleRatio } from '../../subgraphs/experiments/statistics/sample-ratio.ts';
import { welchTest } from '../../subgraphs/experiments/statistics/welch/welch.ts';
import type { Uniform } from './statistics-worlds.ts';

/** A row: what is simulated where nothing is wrong, at the edge of the null hypothesis, and where something is. */
export interface StatisticsCheck {
  readonly name: string;
  readonly decision: string;
  /** The promised chance of a false alarm; null where nothing is promised. */
  readonly alpha: number | null;
  readonly even: (uniform: Uniform) => boolean;
  readonly edge?: (uniform: Uniform) => boolean;
  readonly power?: (uniform: Uniform) => boolean;
  /** The difference at which the power is simulated. */
  readonly harm: string;
}

const LOOKS = 20;
const ALPHA = 0.05;
const VEHICLES = 2_000;
const RATE = 0.05;
type Arm = keyof Arms<unknown>;

const armOf = (uniform: Uniform, share: number): Arm => (uniform() < share ? 'treatment' : 'control');

/** Simulates the exposures of an experiment; gives whether any look detects a mismatch. */
const mismatched = (share: number, lost: number) => (uniform: Uniform) => {
  const vehicles = { control: 0, treatment: 0 };
  for (let vehicle = 1; vehicle <= VEHICLES; vehicle++) {
    const arm = armOf(uniform, share);
    if (arm === 'control' || uniform() >= lost) vehicles[arm]++;
    if ((vehicle * LOOKS) % VEHICLES === 0 && sampleRatio([{ treatmentShare: share, vehicles }]).detected) return true;
  }
  return false;
};

/** Events of one metric by arm. */
interface Events {
  readonly vehicles: Record<Arm, number>;
  readonly events: Record<Arm, number>;
}

const newEvents = (): Events => ({ vehicles: { control: 0, treatment: 0 }, events: { control: 0, treatment: 0 } });

function measure({ vehicles, events }: Events, arm: Arm, uniform: Uniform, ratio: number): void {
  vehicles[arm]++;
  if (uniform() < (arm === 'treatment' ? RATE * ratio : RATE)) events[arm]++;
}

const UNIT = { low: 0, high: 1, centres: [] };
const placesOf = ({ vehicles, events }: Events) =>
  mapArms({ control: 'control', treatment: 'treatment' } as const, (arm) => [
    { place: 0, vehicles: vehicles[arm] - events[arm] },
    { place: PLACES, vehicles: events[arm] },
  ]);

function logsOf(events: Events): readonly number[] {
  const { logHigher, logLower } = evidenceOfEffect(placesOf(events), { binary: true, share: 0.5, range: UNIT }, ALPHA);
  return [logHigher, logLower];
}

function welchOf({ vehicles, events }: Events): number {
  const moments = (arm: Arm) => {
    const [count, ones] = [vehicles[arm], events[arm]];
    return { count, mean: ones / count, m2: (ones * (count - ones)) / count };
  };
  const found = welchTest({ control: moments('control'), treatment: moments('treatment') });
  return isMissingNumber(found) ? 1 : found.pValue;
}

/** The tests that a row simulates: the sequential one, Welch's at each look, and Welch's at the end. */
interface Looked {
  readonly sequential?: boolean;
  readonly welchEachTime?: boolean;
  readonly welchAtEnd?: boolean;
}

/** Simulates an experiment on events at 50:50; gives whether one of the tests shows a difference. */
const shown =
  ({ sequential, welchEachTime, welchAtEnd }: Looked, ratio: number) =>
  (uniform: Uniform) => {
    const metric = newEvents();
    for (let vehicle = 1; vehicle <= VEHICLES; vehicle++) {
      measure(metric, armOf(uniform, 0.5), uniform, ratio);
      if ((vehicle * LOOKS) % VEHICLES !== 0) continue;
      if (sequential && Math.max(...logsOf(metric)) > logOfDirection(ALPHA)) return true;
      if ((welchEachTime || (welchAtEnd && vehicle === VEHICLES)) && welchOf(metric) < ALPHA) return true;
    }
    return false;
  };

const METRICS = 10;

/**
 * Simulates ten secondary metrics; gives whether Holm's correction lets one of those that do not differ be called so.
 */
const corrected = (differing: number, ratio: number, asked: 'equal' | 'differing') => (uniform: Uniform) => {
  const metrics = Array.from({ length: METRICS }, newEvents);
  const most = metrics.map(() => 0);
  for (let vehicle = 1; vehicle <= VEHICLES; vehicle++) {
    const arm = armOf(uniform, 0.5);
    metrics.forEach((metric, index) => measure(metric, arm, uniform, index < differing ? ratio : 1));
    if ((vehicle * LOOKS) % VEHICLES !== 0) continue;
    metrics.forEach((metric, index) => (most[index] = Math.max(most[index] ?? 0, ...logsOf(metric))));
  }
  const adjusted = holm(most.map((log) => pValueOf(log - Math.LN2)));
  return adjusted.some((p, index) => index < differing === (asked === 'differing') && (p ?? 1) < ALPHA);
};

const SAMPLE = 200;

function rangeOfFirst(first: readonly number[]): Calibration {
  const sorted = [...first].sort((a, b) => a - b);
  const at = (part: number) => sorted[Math.floor(part * SAMPLE)] ?? 0;
  return calibrate(null, {
    source: 'first-vehicles',
    vehicles: SAMPLE,
    mean: first.reduce((sum, y) => sum + Math.min(y, at(0.99)), 0) / SAMPLE,
    low: at(0.01),
    high: at(0.99),
    most: sorted.at(-1) ?? 0,
    binary: first.every((y) => y === 0 || y === 1),
    vins: [],
  });
}

/** The sums of an arm, by bet. */
interface Sums {
  readonly logs: number[];
  outOfRange: number;
}

const newSums = (): Arms<Sums> => ({ control: { logs: [], outOfRange: 0 }, treatment: { logs: [], outOfRange: 0 } });

function add(logs: number[], index: number, log: number): void {
  logs[index] = (logs[index] ?? 0) + log;
}

/**
 * Simulates a guarded step of a metric that nobody declared. Its numbers are 0 or 1 until a vehicle that is drawn at
 * random, and from then on an event has a size of its own: 1.5 or 3. Gives whether any look crosses.
 */
const switched = (limitPercent: number, ratio: number) => (uniform: Uniform) => {
  const guard = {
    ...({
      metric: 'm',
      worse: 'higher',
      maxWorsePercent: limitPercent,
      bound: null,
      confidenceLevel: 1 - ALPHA,
    } as const),
    ...{ minimumVehicles: 50, silence: 0, watchFor: 0 },
  };
  const from = Math.floor(uniform() * VEHICLES);
  const vehicles: { readonly arm: Arm; readonly y: number }[] = [];
  let state = withEpoch(NOTHING_SEEN, { salt: 's', threshold: BUCKETS / 2, watchedSince: 1 });
  const moved = shareOf(state.epochs.at(-1)!);
  let range: Calibration | null = null;
  let added = 0;
  let sums = newSums();
  for (let vehicle = 1; vehicle <= VEHICLES; vehicle++) {
    const arm = armOf(uniform, 0.5);
    const event = uniform() < (arm === 'treatment' ? RATE * ratio : RATE);
    vehicles.push({ arm, y: !event ? 0 : vehicle <= from ? 1 : uniform() < 0.5 ? 1.5 : 3 });
    if ((vehicle * LOOKS) % VEHICLES !== 0) continue;
    const binary = vehicles.every(({ y }) => y === 0 || y === 1);
    if (!binary && range === null && vehicle >= SAMPLE) {
      range = rangeOfFirst(vehicles.slice(0, SAMPLE).map(({ y }) => y));
      [added, sums] = [SAMPLE, newSums()];
    }
    const calibration = range ?? binaryCalibration(null);
    const tests = testsOf(guard, calibration, moved).slice(0, 1);
    const bets = betsOf(tests);
    const { low, high } = calibration.range;
    const comparable = binary || range !== null;
    for (; comparable && added < vehicles.length; added++) {
      const { arm: own, y } = vehicles[added]!;
      if (calibration.kind === 'proportion' && y !== 0 && y !== 1) sums[own].outOfRange++;
      else
        bets.forEach((bet, index) => add(sums[own].logs, index, logFactor(bet[own], Math.min(high, Math.max(low, y)))));
    }
    const arms = mapArms(comparable ? sums : newSums(), ({ logs, outOfRange }) => ({
      ...NOBODY,
      logs: bets.map((_, index) => logs[index] ?? 0),
      outOfRange,
    }));
    state = afterLook(withRange(state, range), guard, tests, arms, 1, range === null && binary ? 'first' : 'second');
    if (state.most >= logThreshold(ALPHA)) return true;
  }
  return false;
};

/** Gives the ratio at which `detectablePercent` says that a difference is seen in about 80 % of cases. */
function detectableRatio(): number {
  const arm = { vehicles: VEHICLES / 2, mean: RATE, variance: RATE * (1 - RATE) };
  return 1 + (detectablePercent({ control: arm, treatment: arm }, logOfDirection(ALPHA)) ?? NaN) / 100;
}

/** Gives the rows. */
export function checks(): StatisticsCheck[] {
  const ratio = detectableRatio();
  const percent = '5 % events, 50:50';
  const split = (share: number): StatisticsCheck => ({
    name: `exposures, ${100 - share}:${share}`,
    decision: 'sample ratio, α = 0.1 %',
    alpha: 0.001,
    even: mismatched(share / 100, 0),
    power: mismatched(share / 100, 0.2),
    harm: 'a fifth lost',
  });
  const looked = (decision: string, alpha: number | null, tests: Looked): StatisticsCheck => ({
    name: percent,
    decision,
    alpha,
    even: shown(tests, 1),
    power: shown(tests, 2),
    harm: '× 2',
  });
  return [
    split(50),
    split(10),
    split(1),
    {
      name: '10 metrics of 5 % events, 50:50',
      decision: 'secondary metrics, Holm',
      alpha: ALPHA,
      even: corrected(0, 1, 'equal'),
      edge: corrected(5, 2, 'equal'),
      power: corrected(5, 2, 'differing'),
      harm: '5 of 10 × 2, any',
    },
    looked('Welch at the end', ALPHA, { welchAtEnd: true }),
    looked('Welch at each of 20 looks, no promise', null, { welchEachTime: true }),
    looked('sequential at each look, Welch at the end, α = 10 %', 2 * ALPHA, { sequential: true, welchAtEnd: true }),
    {
      name: percent,
      decision: 'detectablePercent',
      alpha: ALPHA,
      even: shown({ sequential: true }, 1),
      power: shown({ sequential: true }, ratio),
      harm: `× ${ratio.toFixed(2)}`,
    },
    {
      name: '5 % events, then sizes, undeclared, 50:50',
      decision: 'guard HIGHER',
      alpha: ALPHA,
      even: switched(0, 1),
      edge: switched(10, 1.1),
      power: switched(10, 2),
      harm: '× 2',
    },
  ];
}
