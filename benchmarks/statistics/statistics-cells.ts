/**
 * The cells of the statistics benchmark: each simulates many rollouts or experiments, analyses them 20 times a step by
 * the tests of production, and counts how many raise an alarm. A look is one of these interim analyses.
 */
import { testsOf } from '../../subgraphs/experiments/guards/guard-tests.ts';
import type { RolloutGuard } from '../../core/rollouts/rollout-guard.ts';
import type { Calibration } from '../../subgraphs/experiments/settled/calibration.ts';
import { BUCKETS } from '../../core/evaluation/bucket.ts';
import { logThreshold } from '../../subgraphs/experiments/statistics/evidence/accumulated-evidence.ts';
import { logWeight, NOTHING_SEEN, shareOf, withEpoch } from '../../subgraphs/experiments/guards/guard-evidence.ts';
import { logMeanExp, type FrozenRange, type Mixture } from '../../subgraphs/experiments/statistics/evidence/bets.ts';
import { evidenceOfEffect, logOfDirection } from '../../subgraphs/experiments/statistics/evidence/effect-evidence.ts';
import { placeInRange, PLACES, type VehiclesAtPlace } from '../../subgraphs/experiments/statistics/evidence/places.ts';
import { frozenRange, meanOf, uniformOf, type Uniform, type World } from './statistics-worlds.ts';

/** The decision that a cell simulates. */
export type Kind = 'experiment' | 'guard HIGHER' | 'guard LOWER' | 'bound HIGHER' | 'bound LOWER';

/** The course of a simulated rollout or experiment: which vehicles measure in which step. */
export interface Course {
  /** The percentages of the steps; an experiment has one. */
  readonly steps: readonly number[];
  /** The vehicles that measure in each step, of all buckets. */
  readonly vehicles: number;
  /** Whether the vehicles are the same in each step, each with a mean of its own. */
  readonly persist?: boolean;
  /** The part of the vehicles whose number arrives when its step is over, and does not count. */
  readonly late?: number;
  /** Whether the rollout is paused and resumed after each look. */
  readonly resumes?: boolean;
}

/** One cell. */
export interface Cell {
  readonly world: World;
  readonly kind: Kind;
  readonly course: Course;
  /**
   * The limit on how much worse than control the treatment may be, in percent; for a bound, its distance from the mean.
   */
  readonly limitPercent: number;
  /** The true ratio of the treatment's mean to control's; of a bound the true mean to the bound. */
  readonly ratio: number;
}

/** Looks a step. */
const LOOKS = 20;
const ALPHA = 0.05;

const UNIT: FrozenRange = { low: 0, high: 1, centres: [] };

function calibrationOf(world: World, range: FrozenRange): Calibration {
  const kind = world.rate === null ? 'mean' : 'proportion';
  return { kind, declared: true, minimum: 0, maximum: range.high, window: null, range, source: 'declared', spent: [] };
}

function guardOf({ kind, limitPercent }: Cell, bound: number | null): RolloutGuard {
  return {
    metric: 'm',
    worse: kind.endsWith('LOWER') ? 'lower' : 'higher',
    maxWorsePercent: bound === null ? limitPercent : null,
    bound,
    confidenceLevel: 1 - ALPHA,
    minimumVehicles: 50,
    silence: 0,
    watchFor: 0,
  };
}

/** The bets of a step, as arrays: factors are `1 + offset + slope · y`. */
interface Flat {
  readonly bets: number;
  readonly offsets: Readonly<Record<'control' | 'treatment', Float64Array>>;
  readonly slopes: Readonly<Record<'control' | 'treatment', Float64Array>>;
}

function flat(mixture: Mixture): Flat {
  const column = (arm: 'control' | 'treatment', of: 'offset' | 'slope') =>
    Float64Array.from(mixture, (bet) => bet[arm][of]);
  return {
    bets: mixture.length,
    offsets: { control: column('control', 'offset'), treatment: column('treatment', 'offset') },
    slopes: { control: column('control', 'slope'), treatment: column('treatment', 'slope') },
  };
}

/** Draws vehicles' numbers of both arms, with the treatment's mean at exactly the ratio, cut or not. */
function drawer(world: World, range: FrozenRange, ratio: number, uniform: Uniform) {
  const { pool, rate } = world;
  if (rate !== null) {
    return (arm: 'control' | 'treatment', own: number) =>
      (own < 0 ? uniform() : own) < (arm === 'treatment' ? rate * ratio : rate) ? 1 : 0;
  }
  const mean = meanOf(pool, range);
  // A part of the treatment's vehicles is moved to the end of the range, so that its cut mean is exactly at the ratio.
  const end = ratio > 1 ? range.high : range.low;
  const moved = ratio === 1 ? 0 : Math.min(1, (mean * (ratio - 1)) / (end - mean));
  return (arm: 'control' | 'treatment', own: number) => {
    const y = pool[Math.floor((own < 0 ? uniform() : own) * pool.length)] ?? 0;
    return arm === 'treatment' && moved > 0 && uniform() < moved ? end : Math.min(range.high, Math.max(range.low, y));
  };
}

/** The fixed things of one run. */
interface Run {
  readonly range: FrozenRange;
  readonly bound: number | null;
}

function prepared(cell: Cell, uniform: Uniform): Run {
  const { world, kind, ratio } = cell;
  const bounded = kind.startsWith('bound');
  if (world.rate !== null) return { range: UNIT, bound: bounded ? world.rate / ratio : null };
  // A bound needs a declared range: that of the population.
  const range = bounded ? { low: 0, high: world.pool.at(-1) ?? 0, centres: [] } : frozenRange(world.pool, uniform);
  return { range, bound: bounded ? meanOf(world.pool, range) / ratio : null };
}

function mixtureOf(cell: Cell, { range, bound }: Run, share: number): Mixture {
  const calibration = calibrationOf(cell.world, range);
  return testsOf(guardOf(cell, bound), calibration, share)[0]?.mixtures[0] ?? [];
}

/** Simulates one experiment, analysed as its results are; gives whether any look decides. */
function decided({ world, course, ratio }: Cell, uniform: Uniform): boolean {
  const range = world.rate === null ? frozenRange(world.pool, uniform) : UNIT;
  const draw = drawer(world, range, ratio, uniform);
  const share = (course.steps[0] ?? 0) / 100;
  const plan = { binary: world.rate !== null, share, range };
  const counts = { control: new Float64Array(PLACES + 1), treatment: new Float64Array(PLACES + 1) };
  const places = (arm: 'control' | 'treatment') =>
    [...counts[arm]].flatMap((vehicles, place): VehiclesAtPlace[] => (vehicles === 0 ? [] : [{ place, vehicles }]));
  for (let vehicle = 0, look = 0; vehicle < course.vehicles; vehicle++) {
    const arm = uniform() < share ? 'treatment' : 'control';
    counts[arm][placeInRange(draw(arm, -1), range)]! += 1;
    if (((vehicle + 1) * LOOKS) / course.vehicles < look + 1) continue;
    look++;
    const evidence = evidenceOfEffect({ control: places('control'), treatment: places('treatment') }, plan, ALPHA);
    if (Math.max(evidence.logHigher, evidence.logLower) > logOfDirection(ALPHA)) return true;
  }
  return false;
}

/** Simulates one rollout; gives whether any look crosses. */
function alarmed(cell: Cell, uniform: Uniform): boolean {
  const { course, kind } = cell;
  const run = prepared(cell, uniform);
  const draw = drawer(cell.world, run.range, kind.startsWith('bound') ? 1 : cell.ratio, uniform);
  const needed = logThreshold(ALPHA);
  // A vehicle without an event changes nothing, unless its number is compared with a bound.
  const idle = cell.world.rate !== null && run.bound === null;
  const buckets = course.persist === true ? Float64Array.from({ length: course.vehicles }, uniform) : null;
  const owns = course.persist === true ? Float64Array.from({ length: course.vehicles }, uniform) : null;
  let state = NOTHING_SEEN;
  let carried = 0;
  for (const percentage of course.steps) {
    const drawn = { salt: 's', threshold: percentage * 1_000, watchedSince: 0 };
    state = withEpoch(state, drawn);
    const epoch = state.epochs.at(-1)!;
    const [from, to] = [epoch.from / BUCKETS, epoch.to / BUCKETS];
    const { bets, offsets, slopes } = flat(mixtureOf(cell, run, shareOf(epoch)));
    const logs = new Float64Array(bets);
    const products = new Float64Array(bets).fill(1);
    let log = 0;
    for (let vehicle = 0, look = 0; vehicle < course.vehicles; vehicle++) {
      const bucket = buckets?.[vehicle] ?? uniform();
      const misses = course.late !== undefined && uniform() < course.late;
      if (bucket >= from && !misses) {
        const arm = bucket < to ? 'treatment' : 'control';
        const y = draw(arm, owns?.[vehicle] ?? -1);
        const offset = offsets[arm];
        const slope = slopes[arm];
        if (y !== 0 || !idle) for (let bet = 0; bet < bets; bet++) products[bet]! *= 1 + offset[bet]! + slope[bet]! * y;
      }
      // So few vehicles between two looks that no product leaves a double's range.
      if (((vehicle + 1) * LOOKS) / course.vehicles >= look + 1) {
        look++;
        for (let bet = 0; bet < bets; bet++) {
          logs[bet]! += Math.log(products[bet]!);
          products[bet] = 1;
        }
        log = carried + logMeanExp([...logs]);
        if (logWeight(log) >= needed) return true;
        if (course.resumes === true && withEpoch(state, drawn) !== state) throw new Error('A resumption drew vehicles');
      }
    }
    carried = log;
  }
  return false;
}

/** Simulates a cell; gives the share of runs with an alarm. */
export function shareAlarmed(cell: Cell, runs: number, seed: number): number {
  const uniform = uniformOf(seed);
  const simulated = cell.kind === 'experiment' ? decided : alarmed;
  let alarms = 0;
  for (let run = 0; run < runs; run++) if (simulated(cell, uniform)) alarms++;
  return alarms / runs;
}
