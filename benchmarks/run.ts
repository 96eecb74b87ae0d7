/**
 * `npm run bench [-- NAME] [--quick]`: runs one benchmark, or all of them one after another. Each compares FleetFlag
 * with the usual alternative, in one run on one machine: read the ratios, not the absolute numbers.
 */

import { buildCommands } from '../commands/build.ts';
import { readPlainArguments } from '../commands/command-line.ts';
import type { BenchmarkOptions } from './harness/options.ts';

/** Each module's `run` prints its table and leaves nothing behind. */
const BENCHMARKS: Readonly<Record<string, () => Promise<{ run: (options: BenchmarkOptions) => Promise<void> }>>> = {
  reads: () => import('./reads.ts'),
  audience: () => import('./audience.ts'),
  agent: () => import('./agent.ts'),
  evaluation: () => import('./evaluation.ts'),
  'event-streams': () => import('./event-streams.ts'),
  flash: () => import('./flash.ts'),
  'fan-out': () => import('./fan-out.ts'),
  ingestion: () => import('./ingestion.ts'),
  'kill-switch': () => import('./kill-switch.ts'),
  storm: () => import('./storm.ts'),
  start: () => import('./start.ts'),
  sync: () => import('./sync.ts'),
};

const args = readPlainArguments(
  `Usage: npm run bench [-- NAME] [--quick]

NAME is one of ${Object.keys(BENCHMARKS).join(', ')}; all of them where none is named.

  --quick  fewer and shorter rounds
  --help, --version`,
  { known: ['--quick'], most: 1 },
);
const name = args.find((arg) => !arg.startsWith('-'));
if (name !== undefined && !Object.hasOwn(BENCHMARKS, name)) {
  console.error(`There is no benchmark "${name}". There are: ${Object.keys(BENCHMARKS).join(', ')}.`);
  process.exitCode = 2;
} else {
  // The benchmarks start the commands as they are deployed.
  await buildCommands();
  for (const [key, load] of Object.entries(BENCHMARKS)) {
    if (name !== undefined && name !== key) continue;
    const { run } = await load();
    await run({ quick: args.includes('--quick') });
  }
}
