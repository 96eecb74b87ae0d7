/** A soak: everything goes on without faults, and nothing may grow. */
import { readFile, readdir } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import type { Random } from '../../tests/testing/random.ts';
import type { Cluster } from './cluster.ts';
import type { LeanFleet } from './fleet.ts';
import { machineMs, type Recorder } from './recorder.ts';

const SAMPLE_MS = 15_000;
/** The vehicles that lose their connection before each sample. */
const RECONNECTING = 20;

interface SoakWorld {
  readonly cluster: Cluster;
  readonly fleet: LeanFleet;
  readonly recorder: Recorder;
  readonly random: Random;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal | undefined;
}

/** A process at a moment. */
interface ProcessUse {
  readonly residentMb: number;
  readonly files: number;
}
/** Milliseconds of the requests of one kind since the sample before. */
interface Latency {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
}
interface Sample {
  readonly processes: Readonly<Record<string, ProcessUse>>;
  readonly connected: number;
  readonly latencies: Readonly<Record<string, Latency>>;
}

async function useOf(pid: number): Promise<ProcessUse> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const kilobytes = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]);
  return { residentMb: kilobytes / 1_024, files: (await readdir(`/proc/${pid}/fd`)).length };
}

const quantile = (sorted: readonly number[], share: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;

/** The latencies by operation of what was answered since the entry `from`. */
function latenciesSince(recorder: Recorder, from: number): Record<string, Latency> {
  const begun = new Map<number, { readonly op: string; readonly at: number }>();
  const took = new Map<string, number[]>();
  for (const entry of recorder.entries.slice(from))
    if (entry.kind === 'call') begun.set(entry.id, { op: entry.call.op, at: entry.at });
    else if (entry.kind === 'answer') {
      const call = begun.get(entry.id);
      if (call === undefined) continue;
      const times = took.get(call.op);
      if (times === undefined) took.set(call.op, [entry.at - call.at]);
      else times.push(entry.at - call.at);
    }
  return Object.fromEntries(
    [...took].map(([op, times]) => {
      const sorted = times.sort((a, b) => a - b);
      return [op, { count: sorted.length, p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99) }];
    }),
  );
}

async function sample({ cluster, fleet, recorder }: SoakWorld, from: number): Promise<Sample> {
  const processes = await Promise.all(
    cluster.instances.map(async ({ name, process: { child } }) => [name, await useOf(child.pid ?? 0)] as const),
  );
  const { connected } = await fleet.standing(0);
  return {
    processes: Object.fromEntries(processes),
    connected: connected.length,
    latencies: latenciesSince(recorder, from),
  };
}

const median = (numbers: readonly number[]) =>
  quantile(
    [...numbers].sort((a, b) => a - b),
    0.5,
  );

/** Prints how the samples develop: medians of their second, third and last quarter. The first one warms up. */
function report(samples: readonly Sample[], log: SoakWorld['log']): void {
  const quarter = Math.max(1, Math.floor(samples.length / 4));
  const parts = [1, 2, 3].map((index) => samples.slice(index * quarter, (index + 1) * quarter));
  const row = (name: string, figure: (sample: Sample) => number | undefined) =>
    log(
      `| ${name} | ${parts.map((part) => median(part.flatMap((one) => figure(one) ?? [])).toFixed(1)).join(' | ')} |`,
    );
  log('| median of | second quarter | third | last |');
  log('|---|---|---|---|');
  for (const name of Object.keys(samples[0]?.processes ?? {})) {
    row(`${name}: MB resident`, ({ processes }) => processes[name]?.residentMb);
    row(`${name}: open files`, ({ processes }) => processes[name]?.files);
  }
  row('vehicles connected', ({ connected }) => connected);
  for (const op of [...new Set(samples.flatMap(({ latencies }) => Object.keys(latencies)))].sort()) {
    row(`${op}: ms, p50`, ({ latencies }) => latencies[op]?.p50);
    row(`${op}: ms, p99`, ({ latencies }) => latencies[op]?.p99);
  }
}

/** Lets everything go on for some minutes, and prints what each process uses and how long requests take. */
export async function soak(world: SoakWorld, minutes: number): Promise<void> {
  const { fleet, random, recorder, log, signal } = world;
  const until = machineMs() + minutes * 60_000;
  const samples: Sample[] = [];
  let from = recorder.entries.length;
  while (machineMs() < until && signal?.aborted !== true) {
    fleet.reconnect(Array.from({ length: RECONNECTING }, () => random.pick(fleet.vins)));
    await pause(SAMPLE_MS);
    samples.push(await sample(world, from));
    from = recorder.entries.length;
    if (samples.length % 20 === 0) log(`${samples.length} samples`);
  }
  report(samples, log);
}
