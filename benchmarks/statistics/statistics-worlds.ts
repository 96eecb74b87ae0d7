/** The worlds of the statistics benchmark: metrics whose true means are known, and vehicles that measure them. */
import { calibrate, type Sample } from '../../subgraphs/experiments/settled/calibration.ts';
import type { FrozenRange } from '../../subgraphs/experiments/statistics/evidence/bets.ts';

/** A source of random numbers, uniform from 0 to 1. */
export type Uniform = () => number;

/**
 * Creates a source that is the same in every run: sfc32, with 32 bits a number. Source: Doty-Humphrey, "Practically
 * Random" (2014); the billions of draws of this benchmark need one that is fast.
 */
export function uniformOf(seed: number): Uniform {
  let [a, b, c, counter] = [seed | 0, 0x9e3779b9 | 0, 0x243f6a88 | 0, 1];
  const uniform = () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 0x1_0000_0000;
  };
  for (let skipped = 0; skipped < 20; skipped++) uniform();
  return uniform;
}

/** A metric: events with a rate, or numbers of vehicles. */
export interface World {
  readonly name: string;
  /** The rate of events; null for a metric of numbers. */
  readonly rate: number | null;
  /** All numbers that a vehicle can have, each equally likely, so that the true mean is known for every range. */
  readonly pool: Float64Array;
}

const POOL = 16_384;
/** The number of vehicles by which a range is fixed. */
const SAMPLE = 200;

function normal(uniform: Uniform): number {
  return Math.sqrt(-2 * Math.log1p(-uniform())) * Math.cos(2 * Math.PI * uniform());
}

const poolOf = (seed: number, draw: (uniform: Uniform) => number) => {
  const uniform = uniformOf(seed);
  return Float64Array.from({ length: POOL }, () => draw(uniform)).sort();
};

const events = (rate: number): World => ({
  name: `${rate * 100} % events`,
  rate,
  pool: Float64Array.of(0, 1),
});

export const WORLDS: readonly World[] = [
  ...[0.001, 0.01, 0.03, 0.05].map(events),
  { name: 'normal', rate: null, pool: poolOf(1, (uniform) => Math.max(0, 42 + 6 * normal(uniform))) },
  { name: 'log-normal', rate: null, pool: poolOf(2, (uniform) => Math.exp(normal(uniform))) },
  {
    name: 'zero-inflated',
    rate: null,
    pool: poolOf(3, (uniform) => (uniform() < 0.8 ? 0 : 5 * Math.exp(normal(uniform)))),
  },
];

/** Gives the true mean of the numbers (in ascending order), cut to a range. */
export function meanOf(pool: Float64Array, { low, high }: Pick<FrozenRange, 'low' | 'high'>): number {
  let sum = 0;
  let index = 0;
  for (; index < pool.length && pool[index]! <= low; index++) sum += low;
  for (; index < pool.length && pool[index]! < high; index++) sum += pool[index]!;
  return (sum + (pool.length - index) * high) / pool.length;
}

/** Fixes a range as the product does for an undeclared metric: by 200 vehicles, which the result then leaves out. */
export function frozenRange(pool: Float64Array, uniform: Uniform): FrozenRange {
  const values = Array.from({ length: SAMPLE }, () => pool[Math.floor(uniform() * pool.length)] ?? 0);
  const sorted = [...values].sort((a, b) => a - b);
  const sample: Sample = {
    source: 'first-vehicles',
    vehicles: SAMPLE,
    mean: values.reduce((sum, y) => sum + y, 0) / SAMPLE,
    low: sorted[Math.floor(0.01 * SAMPLE)] ?? 0,
    high: sorted[Math.floor(0.99 * SAMPLE)] ?? 0,
    most: sorted.at(-1) ?? 0,
    binary: false,
    vins: [],
  };
  return calibrate(null, sample).range;
}
