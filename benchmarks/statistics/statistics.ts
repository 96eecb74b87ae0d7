/**
 * Shows by simulation how often the statistics are wrong where nothing is wrong, and how often they find what is there.
 * Each row is one combination of metric, split and decision: false alarms at no difference (A/A) and at the edge of
 * what is allowed, and power at a named difference. A row fails when its false alarms are above what is promised, 5 %
 * where nothing else is said, beyond chance.
 */
import type { BenchmarkOptions } from '../harness/options.ts';
import { checks, type StatisticsCheck } from './statistics-checks.ts';
import { shareAlarmed, type Cell, type Course, type Kind } from './statistics-cells.ts';
import { uniformOf, WORLDS, type Uniform, type World } from './statistics-worlds.ts';

const RUNS = 2_000;
const QUICK_RUNS = 200;
const ALPHA = 0.05;
/** One-sided 99 %: of some hundred rows that are just at 5 %, one would fail by chance. */
const Z = 2.326;
const SPLITS = [50, 10, 1] as const;
const LIMIT = 10;

/** The true ratio in the cells of a kind: of the arms' means, or of the mean to the bound. */
const TRUTHS: Readonly<Record<Kind, { readonly even: number; readonly edge: number; readonly harm: number }>> = {
  experiment: { even: 1, edge: 1, harm: 2 },
  'guard HIGHER': { even: 1, edge: 1 + LIMIT / 100, harm: 2 },
  'guard LOWER': { even: 1, edge: 1 - LIMIT / 100, harm: 0.5 },
  'bound HIGHER': { even: 0.9, edge: 1, harm: 2 },
  'bound LOWER': { even: 1.1, edge: 1, harm: 0.8 },
};

/** A row of the table. */
interface Row {
  readonly name: string;
  readonly kind: Kind;
  readonly world: World;
  readonly course: Course;
  readonly limitPercent: number;
}

const percentOf = (share: number) => `${(100 * share).toFixed(1)} %`;

/** Gives Wilson's lower bound of a share. Source: Wilson, Journal of the American Statistical Association 22 (1927). */
export function lowerBound(share: number, runs: number): number {
  const centre = share + (Z * Z) / (2 * runs);
  const reach = Z * Math.sqrt((share * (1 - share)) / runs + (Z * Z) / (4 * runs * runs));
  return (centre - reach) / (1 + (Z * Z) / runs);
}

/** Gives the course of a split: experiments have one step, guards two with the same split of those that take part. */
function courseOf(kind: Kind, percent: number): Course {
  if (kind === 'experiment') return { steps: [percent], vehicles: 2_000 };
  return { steps: [percent, percent + ((100 - percent) * percent) / 100], vehicles: 1_000 };
}

/** Gives all rows. */
export function benchmarkRows(): Row[] {
  const kinds = Object.keys(TRUTHS).filter((kind): kind is Kind => kind in TRUTHS);
  const matrix = WORLDS.flatMap((world) =>
    SPLITS.flatMap((percent) =>
      kinds.map((kind) => ({
        name: `${world.name}, ${100 - percent}:${percent}`,
        kind,
        world,
        course: courseOf(kind, percent),
        limitPercent: LIMIT,
      })),
    ),
  );
  const special = (name: string, course: Course, limitPercent = LIMIT) =>
    WORLDS.filter(({ name: metric }) => metric === '3 % events' || metric === 'log-normal').map((world) => ({
      name: `${world.name}, ${name}`,
      kind: 'guard HIGHER' as const,
      world,
      course,
      limitPercent,
    }));
  const usual = [10, 50, 90];
  return [
    ...matrix,
    ...special('10/50/90, limit 0', { steps: usual, vehicles: 2_000 }, 0),
    ...special('10/50/90, limit 10 %', { steps: usual, vehicles: 2_000 }),
    ...special('10/50/90, the same vehicles', { steps: usual, vehicles: 1_000, persist: true }),
    ...special('46/48/…/56', { steps: [46, 48, 50, 52, 54, 56], vehicles: 1_000 }),
    ...special('46/48/…/56, the same vehicles', { steps: [46, 48, 50, 52, 54, 56], vehicles: 1_000, persist: true }),
    ...special('10/50/90, resumed at each look', { steps: usual, vehicles: 1_000, resumes: true }),
    ...special('10/50/90, a third late', { steps: usual, vehicles: 1_000, late: 1 / 3 }),
  ];
}

/** The result of a row, in shares of the runs. A share that was not simulated is NaN. */
export interface RowResult {
  /** The false alarms where there is no difference (A/A). */
  readonly falseAlarms: number;
  /** The false alarms at the edge of what is allowed. */
  readonly falseAlarmsAtEdge: number;
  /** The alarms at the difference of the row. */
  readonly power: number;
  /** Whether there are more false alarms than promised, beyond chance. */
  readonly fails: boolean;
}

/** Simulates a row. */
export function simulate(row: Row, runs: number, seed: number): RowResult {
  const { even, edge, harm } = TRUTHS[row.kind];
  const limit = row.limitPercent / 100;
  const atEdge = row.limitPercent === LIMIT ? edge : 1 + limit;
  const share = (ratio: number, offset: number) => shareAlarmed({ ...row, ratio } satisfies Cell, runs, seed + offset);
  const found = {
    falseAlarms: share(even, 0),
    falseAlarmsAtEdge: atEdge === even ? NaN : share(atEdge, 1),
    power: share(harm, 2),
  };
  const fails = [found.falseAlarms, found.falseAlarmsAtEdge].some((alarms) => lowerBound(alarms, runs) > ALPHA);
  return { ...found, fails };
}

/** Simulates a row with a promise of its own. */
export function simulateCheck({ even, edge, power, alpha }: StatisticsCheck, runs: number, seed: number): RowResult {
  const share = (alarm: ((uniform: Uniform) => boolean) | undefined, offset: number) => {
    if (alarm === undefined) return NaN;
    const uniform = uniformOf(seed + offset);
    let alarms = 0;
    for (let run = 0; run < runs; run++) if (alarm(uniform)) alarms++;
    return alarms / runs;
  };
  const found = { falseAlarms: share(even, 0), falseAlarmsAtEdge: share(edge, 1), power: share(power, 2) };
  const fails =
    alpha !== null && [found.falseAlarms, found.falseAlarmsAtEdge].some((alarms) => lowerBound(alarms, runs) > alpha);
  return { ...found, fails };
}

const shown = (share: number) => (Number.isNaN(share) ? '–' : percentOf(share));

/** Prints the table, as Markdown. */
export async function run({ quick }: BenchmarkOptions): Promise<void> {
  const runs = quick ? QUICK_RUNS : RUNS;
  console.log(`${runs} runs a cell, 20 looks a step, α = 5 %\n`);
  console.log('| metric, control:treatment | decision | A/A | edge | power at a ratio of |\n|---|---|---|---|---|');
  let failed = 0;
  const print = (
    name: string,
    decision: string,
    { falseAlarms, falseAlarmsAtEdge, power, fails }: RowResult,
    harm: string,
  ) =>
    console.log(
      `| ${name} | ${decision} | ${shown(falseAlarms)} | ${shown(falseAlarmsAtEdge)} | ${harm}: ${shown(power)} |${fails ? ' **fails** |' : ''}`,
    );
  checks().forEach((check, index) => {
    const found = simulateCheck(check, runs, 1_000_000 + 10 * index);
    if (found.fails) failed++;
    print(check.name, check.decision, found, check.harm);
  });
  benchmarkRows().forEach((row, index) => {
    const found = simulate(row, runs, 10 * index);
    if (found.fails) failed++;
    const { harm } = TRUTHS[row.kind];
    print(row.name, row.kind, found, `× ${harm}`);
  });
  console.log(`\n${failed} rows fail.`);
  if (failed > 0) process.exitCode = 1;
  return Promise.resolve();
}
