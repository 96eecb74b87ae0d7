/**
 * What the agent takes of a vehicle's computer: the packed command as a process of its own, against a simulated
 * control plane with 100 flags, changes going on until 2 MB of definitions have been received, and 200 OFREP requests
 * a second. Beside it an empty Node process and the agent from source, as peers that can be run without a service.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { AgentStatus } from '../agent/api/agent-status.ts';
import { TestControlPlane } from '../agent/testing/control-plane.ts';
import { TestVehicle, until } from '../agent/testing/test-vehicle.ts';
import type { RuleDefinition } from '../core/model.ts';

const FLAGS = 100;
const RECEIVED_BYTES = 2_000_000;
const REQUESTS_A_SECOND = 200;
const CHANGES_A_SECOND = 20;
const STARTS = 7;
const ROOT = fileURLToPath(new URL('..', import.meta.url));
const ONE = '/ofrep/v1/evaluate/flags/';

interface RunningAgent {
  readonly child: ChildProcess;
  readonly base: string;
}

interface Row {
  readonly what: string;
  readonly readyMb: number;
  readonly peakMb: number;
  readonly startMs: number;
  readonly databaseKb: number;
  readonly requests: number;
}

/** Rules of a flag as a carmaker has them: some 3 KB signed. */
function rulesOf(flag: number, change: number): RuleDefinition[] {
  return Array.from({ length: 3 }, (_, priority) => ({
    id: `rule-${flag}-${priority}`,
    type: 'vehicle_target',
    priority,
    enabled: true,
    conditions: { models: Array.from({ length: 30 }, (_model, index) => `Model ${index} of ${change}`), sw_version: '>= 2.5.0', regions: ['EU', 'NA'] },
  }));
}

/** Megabytes of `name` (VmRSS, VmHWM) as Linux counts them. */
async function megabytes(child: ChildProcess, name: 'VmRSS' | 'VmHWM'): Promise<number> {
  const text = await readFile(`/proc/${child.pid}/status`, 'utf8');
  return Number(new RegExp(`${name}:\\s+(\\d+)`).exec(text)?.[1]) / 1024;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}

function ask(base: string, path: string, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    request(base + path, { method: 'POST', agent }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    })
      .on('error', reject)
      .end('{"context":{"subscription":"premium","model":"Ioniq 6","swVersion":"2.6.0"}}');
  });
}

async function start(command: readonly string[], vehicle: TestVehicle): Promise<RunningAgent> {
  const options = ['--url', vehicle.plane.url, '--token-file', vehicle.tokenFile, '--db', vehicle.databaseFile, '--keys', vehicle.keysFile, '--listen', '127.0.0.1:0'];
  const child = spawn(process.execPath, [...command, ...options], { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env['PATH'] } });
  let [output, log] = ['', ''];
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  child.stderr.on('data', (data: Buffer) => (log += data.toString()));
  await until('the agent is ready', () => {
    if (child.exitCode !== null) throw new Error(log);
    return output.includes('\n') && log.includes('listening on ');
  });
  return { child, base: /listening on (http:\S+)/.exec(log)![1]! };
}

/** Milliseconds from the spawn to the first answered evaluation from the file, with no control plane there. */
async function startFromFile(command: readonly string[], vehicle: TestVehicle): Promise<number> {
  const samples: number[] = [];
  for (let round = 0; round < STARTS; round++) {
    const from = performance.now();
    const { child, base } = await start(command, vehicle);
    const connections = new Agent();
    const status = await ask(base, `${ONE}feature_1`, connections);
    samples.push(performance.now() - from);
    connections.destroy();
    await stop(child);
    if (status !== 200) throw new Error(`answered ${status}`);
  }
  return samples.sort((a, b) => a - b)[Math.floor(STARTS / 2)]!;
}

async function measure(what: string, command: readonly string[]): Promise<Row> {
  const plane = await TestControlPlane.start();
  const vehicle = await TestVehicle.create(plane);
  const connections = new Agent({ keepAlive: true, maxSockets: 4 });
  let running: RunningAgent | null = null;
  try {
    let received = 0;
    for (let flag = 0; flag < FLAGS; flag++) await plane.put(`feature_${flag}`, { rules: rulesOf(flag, 0) });
    running = await start(command, vehicle);
    const { child, base } = running;
    const readyMb = await megabytes(child, 'VmRSS');
    received = Buffer.byteLength(JSON.stringify([...plane.definitions().values()])) * (4 / 3);
    const changeBytes = received / FLAGS;
    const tickMs = 1000 / CHANGES_A_SECOND;
    const pending: Promise<number>[] = [];
    for (let change = 1, due = performance.now(); received < RECEIVED_BYTES; change++, received += changeBytes) {
      await plane.put(`feature_${change % FLAGS}`, { rules: rulesOf(change % FLAGS, change) });
      for (let count = 0; count < REQUESTS_A_SECOND / CHANGES_A_SECOND; count++) pending.push(ask(base, `${ONE}feature_${(change + count) % FLAGS}`, connections));
      due += tickMs;
      await pause(Math.max(0, due - performance.now()));
    }
    const failed = (await Promise.all(pending)).filter((status) => status !== 200).length;
    if (failed > 0) throw new Error(`${failed} requests failed`);
    await until('every change has arrived', async () => ((await (await fetch(`${base}/v1/status`)).json()) as AgentStatus).revision === plane.revision);
    const peakMb = await megabytes(child, 'VmHWM');
    const { size } = await stat(vehicle.databaseFile);
    await stop(child);
    await plane.stop();
    return { what, readyMb, peakMb, startMs: await startFromFile(command, vehicle), databaseKb: size / 1024, requests: pending.length };
  } finally {
    connections.destroy();
    if (running !== null) await stop(running.child);
    await vehicle.dispose();
    await plane.stop();
  }
}

async function emptyProcess(): Promise<number> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1e9); console.log("up")'], { stdio: ['ignore', 'pipe', 'ignore'] });
  await once(child.stdout, 'data');
  const peak = await megabytes(child, 'VmHWM');
  await stop(child);
  return peak;
}

/** Prints the table; takes about a minute. Linux only: it reads /proc. */
export async function run(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'fleetflag-bench-agent-'));
  try {
    await promisify(execFile)('npm', ['pack', '--pack-destination', folder], { cwd: join(ROOT, 'agent') });
    const [packed] = (await promisify(execFile)('sh', ['-c', `cd ${folder} && tar xzf *.tgz && pwd`])).stdout.split('\n');
    const rows = [
      await measure('the packed command', [join(packed!, 'package/dist/fleetflag-agent.cjs')]),
      await measure('the same from source', ['--import', 'tsx', join(ROOT, 'agent/main.ts')]),
    ];
    console.log(`\nThe agent: ${FLAGS} flags, ${RECEIVED_BYTES / 1e6} MB of definitions received, ${REQUESTS_A_SECOND} OFREP requests/s\n`);
    console.log('| process | ready, MB resident | peak, MB resident | start to first evaluation, ms | database, KB | requests |');
    console.log('|---|---|---|---|---|---|');
    console.log(`| an empty Node process | | ${(await emptyProcess()).toFixed(1)} | | | |`);
    for (const row of rows) {
      console.log(`| ${row.what} | ${row.readyMb.toFixed(1)} | ${row.peakMb.toFixed(1)} | ${row.startMs.toFixed(0)} | ${row.databaseKb.toFixed(0)} | ${row.requests} |`);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
