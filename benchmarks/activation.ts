/**
 * Measures how soon the changes that wait for the end of a drive are active once the vehicle is parked. The bundled
 * command runs as a process of its own, with 100 changed flags pending. Beside it: the plain evaluation that shows the
 * values, the write of as many bytes to the disk that the change-over contains, and a program that polls a file of
 * flags each second.
 */
import { once } from 'node:events';
import { watchFile, unwatchFile } from 'node:fs';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { spawn, type ChildProcess } from 'node:child_process';
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { MAX_STANDSTILLS } from '../agent/activation/standstills.ts';
import type { AgentStatus } from '../agent/api/agent-status.ts';
import { bundleCommand } from '../agent/packing/bundle.ts';
import { DurableFile, nodeFileSystem } from '../agent/store/files/durable-file.ts';
import { TestControlPlane } from '../agent/testing/control-plane.ts';
import { ON } from '../agent/testing/rules.ts';
import { TestVehicle } from '../agent/testing/test-vehicle.ts';
import { eventually } from '../core/testing/eventually.ts';
import { startAgent, stopProcess, type AgentProcess } from './harness/agent-process.ts';
import { percentile, printTable } from './harness/numbers.ts';
import type { BenchmarkOptions } from './harness/options.ts';

const FLAGS = 100;
const KEYS = Array.from({ length: FLAGS }, (_, flag) => `feature_${flag}`);
/** Busy processes for each core, on the loaded machine. */
const LOAD = 2;
/** The milliseconds between two polls of the file. */
const POLL_MS = 1_000;

const PARKED = '{"ignition":"off","moving":false}';
const DRIVING = '{"ignition":"on","moving":true}';
const ONE = '/ofrep/v1/evaluate/flags/feature_0';
const ALL = '/ofrep/v1/evaluate/flags';

/** The milliseconds of each trial from the report on. */
interface Trials {
  /** The time until the report is answered: it is on disk, and the flags have changed over. */
  readonly answered: number[];
  /** The time until an evaluation, which is repeated, gives the new value. */
  readonly evaluated: number[];
  /** The time until the event stream announces a change. */
  readonly announced: number[];
  /** The time until both an evaluation and the event stream show the change. */
  readonly active: number[];
  /** An evaluation while nothing happens. */
  readonly plain: number[];
  /** A write of as many bytes as the agent's file has, in two generations and flushed. */
  readonly written: number[];
}

const connections = new Agent({ keepAlive: true, maxSockets: 4 });

function send(base: string, method: string, path: string, body = '{"context":{}}'): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    request(base + path, { method, agent: connections, headers }, (response) => {
      let text = '';
      response
        .on('data', (data: Buffer) => (text += data.toString()))
        .on('end', () => {
          if ((response.statusCode ?? 500) < 300) resolve(text);
          else reject(new Error(`${method} ${path} was answered ${response.statusCode}: ${text}`));
        });
    })
      .on('error', reject)
      .end(body);
  });
}

/** Opens the event stream, and gives a function that waits for its next event. */
async function openEvents(base: string): Promise<{ readonly socket: Socket; readonly next: () => Promise<void> }> {
  const { port } = new URL(base);
  const socket = connect(Number(port), '127.0.0.1');
  let heard: () => void = () => undefined;
  let first = false;
  socket.on('data', (data: Buffer) => {
    first = true;
    if (data.includes('refetchEvaluation')) heard();
  });
  socket.write(`GET /v1/events HTTP/1.1\r\nHost: localhost:${port}\r\nAccept: text/event-stream\r\n\r\n`);
  await eventually(() => first, 'the stream is open');
  return { socket, next: () => new Promise((resolve) => (heard = resolve)) };
}

const statusOf = async (base: string) => (await (await fetch(`${base}/v1/status`)).json()) as AgentStatus;

/** Has all flags change while the vehicle drives, and then measures one end of the drive. */
async function measureOne(plane: TestControlPlane, { base }: AgentProcess, isOn: boolean, trials: Trials) {
  await send(base, 'PUT', '/v1/vehicle-state', DRIVING);
  await plane.inOneLook(async () => {
    for (const [index, key] of KEYS.entries())
      await plane.put(key, { rules: isOn ? [ON] : [], activation: index % 2 === 0 ? 'PARKED' : 'NEXT_DRIVE' });
  });
  await eventually(async () => {
    // A flag is pending when that is on disk.
    const { revision, drive } = await statusOf(base);
    return revision === plane.revision && drive.pending.length === FLAGS;
  }, 'all flags wait');
  const { socket, next } = await openEvents(base);
  const value = `"value":${isOn}`;
  const plainFrom = performance.now();
  if ((await send(base, 'POST', ONE)).includes(value)) throw new Error('The value has changed in mid-drive.');
  trials.plain.push(performance.now() - plainFrom);

  const from = performance.now();
  const since = () => performance.now() - from;
  const event = next().then(since);
  const evaluation = async () => {
    // A loop without a rest would take the agent's time from what is measured.
    while (!(await send(base, 'POST', ONE)).includes(value)) await pause(1);
    return since();
  };
  const report = send(base, 'PUT', '/v1/vehicle-state', PARKED).then(since);
  const [answered, announced, evaluated] = await Promise.all([report, event, evaluation()]);
  const { flags } = JSON.parse(await send(base, 'POST', ALL)) as { flags: { value: unknown }[] };
  if (flags.length !== FLAGS || flags.some((flag) => flag.value !== isOn))
    throw new Error('A flag has not changed over with the others.');
  socket.destroy();
  trials.answered.push(answered);
  trials.announced.push(announced);
  trials.evaluated.push(evaluated);
  trials.active.push(Math.max(announced, evaluated));
}

async function measure(command: string, rounds: number): Promise<Trials> {
  const trials: Trials = { answered: [], evaluated: [], announced: [], active: [], plain: [], written: [] };
  const plane = await TestControlPlane.start();
  const vehicle = await TestVehicle.create(plane);
  let running: AgentProcess | null = null;
  try {
    for (const key of KEYS) await plane.put(key, { activation: 'PARKED' });
    for (let round = 0; round < rounds; round++) {
      // One process counts a bounded number of standstills.
      if (running === null || round % (MAX_STANDSTILLS - 1) === 0) {
        if (running !== null) await stopProcess(running.child);
        running = await startAgent({ command: [command] }, vehicle);
      }
      await measureOne(plane, running, round % 2 === 0, trials);
      const bytes = new Uint8Array((await stat(vehicle.databaseFile)).size);
      const file = new DurableFile(join(vehicle.folder, 'written'), nodeFileSystem);
      const from = performance.now();
      await file.replace(bytes, true);
      trials.written.push(performance.now() - from);
    }
  } finally {
    if (running !== null) await stopProcess(running.child);
    await vehicle.dispose();
    await plane.stop();
  }
  return trials;
}

/** Measures the milliseconds from when a file of flags is replaced until a program that polls it has noticed. */
async function polled(folder: string, rounds: number): Promise<number[]> {
  const path = join(folder, 'flags.json');
  const file = new DurableFile(path, nodeFileSystem);
  const samples: number[] = [];
  let noticed: () => void = () => undefined;
  await writeFile(path, '{}');
  watchFile(path, { interval: POLL_MS }, () => noticed());
  try {
    for (let round = 0; round < rounds; round++) {
      // Changes come at any moment between two polls.
      await pause(Math.random() * POLL_MS);
      const notice = new Promise<void>((resolve) => (noticed = resolve));
      const from = performance.now();
      await file.replace(Buffer.from(JSON.stringify({ round })), true);
      await notice;
      samples.push(performance.now() - from);
    }
  } finally {
    unwatchFile(path);
  }
  return samples;
}

/** Keeps all cores busy while `work` runs. */
async function underLoad<Result>(work: () => Promise<Result>): Promise<Result> {
  const busy: ChildProcess[] = [];
  try {
    for (let one = 0; one < LOAD * availableParallelism(); one++) {
      const child = spawn(process.execPath, ['-e', 'console.log(1); for (;;);'], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      busy.push(child);
      await once(child.stdout, 'data');
    }
    return await work();
  } finally {
    for (const child of busy) child.kill('SIGKILL');
  }
}

const row = (what: string, values: readonly number[]) => [
  what,
  percentile(values, 0.5),
  percentile(values, 0.99),
  Math.max(...values),
  values.length,
];

/** Prints both tables. Takes about five minutes, and one with `--quick`. */
export async function run({ quick }: BenchmarkOptions): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'fleetflag-bench-activation-'));
  try {
    await bundleCommand(folder);
    const command = join(folder, 'fleetflag-agent.cjs');
    const both = async () => ({
      trials: await measure(command, quick ? 40 : 320),
      file: await polled(folder, quick ? 10 : 60),
    });
    const machines = [
      ['beside nothing of its own', await both()],
      [`beside ${LOAD} busy processes a core`, await underLoad(both)],
    ] as const;
    for (const [name, { trials, file }] of machines) {
      const { answered, evaluated, announced, active, plain, written } = trials;
      console.log(`\nActivation: ${FLAGS} changes wait, and the vehicle is parked; ${name}\n`);
      printTable(
        ['from the report of the standstill until', 'p50, ms', 'p99, ms', 'worst, ms', 'trials'],
        [
          row('an evaluation gives the new value and the event stream has said so', active),
          row('of it: an evaluation gives the new value', evaluated),
          row('of it: the event stream says so', announced),
          row('of it: the report is answered', answered),
          row('beside it: a file of as many bytes is written', written),
          row('beside it: one evaluation, while nothing happens', plain),
          row('beside it: a program that polls a file each second notices', file),
        ],
      );
    }
  } finally {
    connections.destroy();
    await rm(folder, { recursive: true, force: true });
  }
}
