/**
 * `npm run bench [-- NAME] [--quick]`: runs one benchmark, or all of them one after another. Each compares FleetFlag
 * with the usual alternative, in one run on one machine: read the ratios, not the absolute numbers.
 */

import { buildCommands } from '../commands/build.ts';
import { readCount, readPlainArguments, readWorkers } from '../commands/command-line.ts';
import type { BenchmarkOptions } from './harness/options.ts';

interface Benchmark {
  readonly load: () => Promise<{ run: (options: BenchmarkOptions) => Promise<void> }>;
  /** Whether `--quick` leaves it out where none is named. */
  readonly isLong?: true;
}

/** Each module's `run` prints its table and leaves nothing behind. */
const BENCHMARKS: Readonly<Record<string, Benchmark>> = {
  reads: { load: () => import('./reads.ts') },
  pages: { load: () => import('./pages.ts') },
  storm: { load: () => import('./storm/storm.ts') },
  evaluation: { load: () => import('./evaluation.ts') },
  start: { load: () => import('./start.ts') },
  cost: { load: () => import('./cost.ts'), isLong: true },
  'fan-out': { load: () => import('./fan-out/fan-out.ts'), isLong: true },
  audience: { load: () => import('./audience.ts'), isLong: true },
  agent: { load: () => import('./agent.ts'), isLong: true },
  activation: { load: () => import('./activation.ts'), isLong: true },
  'event-streams': { load: () => import('./event-streams.ts'), isLong: true },
  flash: { load: () => import('./flash.ts'), isLong: true },
  ingestion: { load: () => import('./ingestion/ingestion.ts'), isLong: true },
  'kill-switch': { load: () => import('./kill-switch/kill-switch.ts'), isLong: true },
  sync: { load: () => import('./sync.ts'), isLong: true },
  statistics: { load: () => import('./statistics/statistics.ts'), isLong: true },
  partitions: { load: () => import('./partitions.ts'), isLong: true },
};

const USAGE = `Usage: npm run bench [-- NAME] [--quick]

NAME is one of ${Object.keys(BENCHMARKS).join(', ')}; all of them where none is named.

  --quick       fewer and shorter rounds; without NAME only those of docs/reference/performance.md
  --workers N   of storm: gateway processes, each of which may open some 20,000 sockets; 1 when absent
  --vehicles N  of storm: how many there are; 19,000 when absent
  --backups     of storm: each vehicle stores a backup within a minute, as agents do after an outage
  --models N    of storm: the models of which the vehicles are, with flags of their own; one partition when absent
  --help, --version`;
const args = readPlainArguments(USAGE, {
  known: ['--quick', '--backups'],
  valued: ['--workers', '--vehicles', '--models'],
  most: 1,
});
const vehicles = readCount('--vehicles', USAGE, 1_000_000);
const models = readCount('--models', USAGE, 1_000);
const workers = readWorkers(USAGE);
const name = args.find((arg) => !arg.startsWith('-'));
if (name !== undefined && !Object.hasOwn(BENCHMARKS, name)) {
  console.error(`Unknown benchmark "${name}"; expected one of ${Object.keys(BENCHMARKS).join(', ')}.`);
  process.exitCode = 2;
} else {
  // The benchmarks start the commands as they are deployed.
  await buildCommands();
  const quick = args.includes('--quick');
  for (const [key, { load, isLong = false }] of Object.entries(BENCHMARKS)) {
    if (name === undefined ? quick && isLong : name !== key) continue;
    const { run } = await load();
    await run({
      quick,
      backups: args.includes('--backups'),
      ...(vehicles !== null && { vehicles }),
      ...(workers !== null && { workers }),
      ...(models !== null && { models }),
    });
  }
}
