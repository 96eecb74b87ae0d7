/**
 * Measures the start from the built commands: an empty data folder (the database is made and migrated), and data that
 * are there; then the memory at rest of each process, in both forms and with worker processes. Wall time includes
 * waiting for the disk, so the CPU seconds stand beside it.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { BenchmarkControlPlane } from './harness/control-plane.ts';
import { median, printTable } from './harness/numbers.ts';
import type { BenchmarkOptions } from './harness/options.ts';
import { cpuSecondsOf, processesOf } from './harness/process-usage.ts';

/** Milliseconds after the start in which a process settles: what it does once is done, and garbage is collected. */
const SETTLING_MS = 15_000;

interface Start {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

async function startOf(plane: BenchmarkControlPlane): Promise<Start> {
  return { seconds: plane.startSeconds, cpuSeconds: await cpuSecondsOf(plane.pids) };
}

async function starts(rounds: number): Promise<{ readonly first: Start[]; readonly later: Start[] }> {
  const [first, later]: [Start[], Start[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const plane = await BenchmarkControlPlane.start();
    if (plane === null) throw new Error('The form of one process needs nothing but this machine.');
    try {
      first.push(await startOf(plane));
      await plane.restart();
      later.push(await startOf(plane));
    } finally {
      await plane.stop();
    }
  }
  return { first, later };
}

async function memoryAtRest(rows: (string | number)[][]): Promise<void> {
  const forms = [
    { form: 'one process' as const },
    { form: 'one process' as const, workers: 2 },
    { form: 'distributed' as const },
  ];
  for (const options of forms) {
    const plane = await BenchmarkControlPlane.start(options);
    if (plane === null) continue;
    try {
      const before = await cpuSecondsOf(plane.pids);
      await pause(SETTLING_MS);
      const share = ((await cpuSecondsOf(plane.pids)) - before) / (SETTLING_MS / 1_000);
      const name = `${options.form}${options.workers === undefined ? '' : `, ${options.workers} workers`}`;
      for (const { command, residentBytes, privateBytes } of await processesOf(plane.pids))
        rows.push([name, command, residentBytes / 1e6, privateBytes / 1e6]);
      rows.push([name, `all together, ${(share * 100).toFixed(1)} % of a core`, '', '']);
    } finally {
      await plane.stop();
    }
  }
}

const of = (values: readonly Start[], member: keyof Start) => median(values.map((value) => value[member]));

/** Prints both tables. Takes about two minutes. Linux only: it reads /proc. */
export async function run({ quick }: BenchmarkOptions): Promise<void> {
  const { first, later } = await starts(quick ? 1 : 3);
  console.log('\nStart of the control plane in one process, from dist/, until it is ready\n');
  printTable(
    ['start', 'seconds', 'CPU seconds'],
    [
      ['first: an empty folder', of(first, 'seconds'), of(first, 'cpuSeconds')],
      ['later: data are there', of(later, 'seconds'), of(later, 'cpuSeconds')],
    ],
  );
  const rows: (string | number)[][] = [];
  await memoryAtRest(rows);
  console.log(`\nMemory at rest, ${SETTLING_MS / 1_000} s after the start\n`);
  printTable(['form', 'process', 'resident, MB', 'of it private, MB'], rows);
}
