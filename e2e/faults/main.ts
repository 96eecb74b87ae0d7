/**
 * `npm run faults`: runs faults by a seed and checks the history. Ends with 1 where a law was broken; with `--planted`,
 * where the checker did not find a planted bug.
 */
import { rm } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { readPlainArguments } from '../../commands/command-line.ts';
import { PLANTED_BUGS, copySources } from './planted-bugs.ts';
import { run, type RunResult } from './run.ts';

const USAGE = `Usage: npm run faults -- [options]

Needs redis-server; as root, on Linux, it also fills disks up, and with Debian's faketime it sets clocks of agents.

  --faults N      faults of a run (40)
  --seed N        the seed of the first run (1); the next has the next one
  --runs N        runs, one after the other (1)
  --at-once N     the most faults at once (4)
  --vehicles N    lean vehicles (200)
  --agents N      agents that are processes of their own (3)
  --soak MINUTES  lets everything go on for so long without faults, with vehicles that reconnect, and prints how memory,
                  open files and latencies develop (0)
  --slowness N    makes people so many times slower (1)
  --out FOLDER    where histories are kept (.fleetflag/faults)
  --silent        no announcement of a change ever arrives
  --planted NAME  plants a bug, or all of them one after the other, and expects that it is found:
                  all, ${Object.keys(PLANTED_BUGS).join(', ')}
  --help, --version`;

const VALUED = ['faults', 'seed', 'runs', 'at-once', 'vehicles', 'agents', 'soak', 'slowness', 'out', 'planted'];
readPlainArguments(USAGE, { known: ['--silent'], valued: VALUED.map((name) => `--${name}`) });

const { values } = parseArgs({
  options: {
    faults: { type: 'string', default: '40' },
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '1' },
    'at-once': { type: 'string', default: '4' },
    vehicles: { type: 'string', default: '200' },
    agents: { type: 'string', default: '3' },
    soak: { type: 'string', default: '0' },
    slowness: { type: 'string', default: '1' },
    out: { type: 'string', default: '.fleetflag/faults' },
    silent: { type: 'boolean', default: false },
    planted: { type: 'string' },
  },
});

const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort());

const say = (line: string) => process.stdout.write(`${line}\n`);

/** Does a run with the sources in `root`. */
async function runOn(root: string, seed: number, name: string, losesAnnouncements = values.silent): Promise<RunResult> {
  const result = await run({
    seed,
    faults: Number(values.faults),
    atOnce: Number(values['at-once']),
    vehicles: Number(values.vehicles),
    agents: Number(values.agents),
    soakMinutes: Number(values.soak),
    slowness: Number(values.slowness),
    out: values.out,
    root,
    losesAnnouncements,
    signal: interrupted.signal,
    log: (line) => say(`${name}: ${line}`),
  });
  say(JSON.stringify({ name, ...result, findings: result.findings.slice(0, 20) }, null, 2));
  return result;
}

/** Runs on a copy of the sources, with bugs planted in it, so that work on the sources does not disturb a long run. */
async function onCopy(names: readonly string[], use: (root: string) => Promise<void>): Promise<void> {
  const root = await copySources(names.map((name) => PLANTED_BUGS[name]!));
  try {
    await use(root);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

if (values.planted !== undefined) {
  const names = values.planted === 'all' ? Object.keys(PLANTED_BUGS) : values.planted.split(',');
  for (const name of names)
    await onCopy([name], async (root) => {
      const { findings } = await runOn(root, Number(values.seed), name, PLANTED_BUGS[name]!.losesAnnouncements);
      const laws = new Set(findings.map(({ law }) => law));
      const isFound = PLANTED_BUGS[name]!.found.some((law) => laws.has(law));
      say(`${name}: ${isFound ? 'found' : 'NOT FOUND'} (${[...laws].join(', ')})`);
      if (!isFound) process.exitCode = 1;
    });
} else
  await onCopy([], async (root) => {
    for (let index = 0; index < Number(values.runs) && !interrupted.signal.aborted; index += 1) {
      const seed = Number(values.seed) + index;
      const { findings } = await runOn(root, seed, `seed ${seed}`);
      if (findings.length > 0) process.exitCode = 1;
    }
  });
