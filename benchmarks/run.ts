/**
 * `npm run bench [-- NAME]`: runs one benchmark, or all of them one after another. Each compares FleetFlag with the
 * usual alternative, in one run on one machine: read the ratios, not the absolute numbers.
 */

import { readPlainArguments } from '../commands/command-line.ts';

/** Each module's `run` prints its table and leaves nothing behind. */
const BENCHMARKS: Readonly<Record<string, () => Promise<{ run: () => Promise<void> }>>> = {
  audience: () => import('./audience.ts'),
  agent: () => import('./agent.ts'),
  'event-streams': () => import('./event-streams.ts'),
  flash: () => import('./flash.ts'),
  'fan-out': () => import('./fan-out.ts'),
  ingestion: () => import('./ingestion.ts'),
  'kill-switch': () => import('./kill-switch.ts'),
  sync: () => import('./sync.ts'),
};

const [name] = readPlainArguments(
  `Usage: npm run bench [-- NAME]\n\nNAME is one of ${Object.keys(BENCHMARKS).join(', ')}; all of them where none is named.\n\n  --help, --version`,
  { most: 1 },
);
if (name !== undefined && !Object.hasOwn(BENCHMARKS, name)) {
  console.error(`There is no benchmark "${name}". There are: ${Object.keys(BENCHMARKS).join(', ')}.`);
  process.exitCode = 2;
} else {
  for (const [key, load] of Object.entries(BENCHMARKS)) {
    if (name !== undefined && name !== key) continue;
    const { run } = await load();
    await run();
  }
}
