/**
 * Measures what the cost model of docs/reference/performance.md is made of, at three sizes of a fleet: if cost grows as
 * the model says, the figures for one vehicle are the same at each size. Prints what follows for larger fleets.
 */
import { printTable, short } from './harness/numbers.ts';
import type { BenchmarkOptions } from './harness/options.ts';
import { measureStorm, type StormFigures } from './storm/storm.ts';

/** Vehicles on one gateway. One address may open 20,000 sockets, and one process 20,000 files by Linux's default. */
const SIZES = [4_000, 9_000, 18_000];
const QUICK_SIZES = [2_000, 5_000, 10_000];
const LARGER = [100_000, 1_000_000, 10_000_000];
/** Seconds within which a fleet that comes back has to be there: agents spread themselves over 30 s of backoff. */
const STORM_SECONDS = 30;
/** Sockets of one gateway process: docs/operations/limits.md. */
const MAX_SOCKETS = 20_000;
/** Changes an hour of a busy environment. */
const CHANGES_PER_HOUR = 20;
/** Seconds between two heartbeats of a vehicle. */
const HEARTBEAT_SECONDS = 60;

/** Gives the ratio of the largest to the smallest of some figures, by which those of several sizes are compared. */
const spread = (values: readonly number[]) => Math.max(...values) / Math.min(...values);

function carriedTo(vehicles: number, { stormCpuMs, deliveryMicroseconds, kilobytes, messageBytes }: StormFigures) {
  const gateways = Math.max(
    Math.ceil(vehicles / MAX_SOCKETS),
    Math.ceil((vehicles * stormCpuMs) / 1_000 / STORM_SECONDS),
  );
  return [
    vehicles.toLocaleString('en'),
    String(gateways),
    (vehicles * kilobytes) / 1e6,
    (vehicles * deliveryMicroseconds) / 1e6,
    (vehicles * messageBytes) / 1e9,
    ((vehicles / gateways) * deliveryMicroseconds) / 1_000,
    (vehicles * CHANGES_PER_HOUR * messageBytes) / 1e9,
    Math.round(vehicles / HEARTBEAT_SECONDS).toLocaleString('en'),
  ];
}

/** Prints both tables. Takes about four minutes. */
export async function run({ quick }: BenchmarkOptions): Promise<void> {
  const all: StormFigures[] = [];
  for (const size of quick ? QUICK_SIZES : SIZES) all.push(await measureStorm({ vehicles: size }));
  console.log('\nCost of a vehicle at one gateway in one process, at three sizes\n');
  const of = (member: keyof StormFigures) => all.map((figures) => figures[member]);
  const line = (what: string, member: keyof StormFigures): (string | number)[] => [
    what,
    ...of(member),
    `${short(spread(of(member)))} ×`,
  ];
  printTable(
    ['', ...all.map(({ vehicles }) => `${vehicles.toLocaleString('en')} vehicles`), 'largest by smallest'],
    [
      line('to come back: CPU, ms each', 'stormCpuMs'),
      line('to be connected: memory, KB each', 'kilobytes'),
      line('a change: CPU, µs each', 'deliveryMicroseconds'),
      line('a change: bytes each', 'messageBytes'),
      line('to be silent: % of a core, all together', 'restPercent'),
      line('until the last has heard, ms', 'lastMilliseconds'),
    ],
  );
  const largest = all.at(-1);
  if (largest === undefined) return;
  console.log(`\nCarried on from ${largest.vehicles.toLocaleString('en')} vehicles\n`);
  printTable(
    [
      'vehicles',
      'gateway processes',
      'memory of sockets, GB',
      'CPU s a change',
      'GB a change',
      'ms a change at each gateway',
      `GB an hour at ${CHANGES_PER_HOUR} changes`,
      'heartbeats a second',
    ],
    LARGER.map((vehicles) => carriedTo(vehicles, largest)),
  );
}
