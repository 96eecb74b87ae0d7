/**
 * Measures the agent's load on a vehicle's computer. The packed command runs as a process of its own against a
 * simulated control plane with 100 flags; changes continue until 2 MB of definitions have been received, with 200 OFREP
 * requests and 20 measurements a second, until those have been reported. An empty Node process and the agent from
 * source serve as comparison, because neither needs a service.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { AgentStatus } from '../agent/api/agent-status.ts';
import { createAuthority, type Authority } from '../agent/testing/certificates.ts';
import { TestControlPlane } from '../agent/testing/control-plane.ts';
import { TestVehicle } from '../agent/testing/test-vehicle.ts';
import { eventually } from '../core/testing/eventually.ts';
import { TlsFront } from '../agent/testing/tls-front.ts';
import type { RuleDefinition } from '../core/model.ts';
import {
  startAgent,
  stopProcess,
  type AgentCommand,
  type AgentProcess,
  type AgentWay,
} from './harness/agent-process.ts';

const FLAGS = 100;
const RECEIVED_BYTES = 2_000_000;
const REQUESTS_A_SECOND = 200;
const CHANGES_A_SECOND = 20;
const MEASUREMENTS_A_SECOND = 20;
/** The batches received before memory is measured: the agent sends one a minute. */
const BATCHES = 2;
const STARTS = 7;
const ROOT = fileURLToPath(new URL('..', import.meta.url));
const ONE = '/ofrep/v1/evaluate/flags/';

interface Row {
  readonly what: string;
  readonly readyMb: number;
  readonly peakMb: number;
  readonly startMs: number;
  readonly databaseKb: number;
  /** Resident megabytes of the WebAssembly memory in which SQLite works. */
  readonly sqliteMb: number;
  readonly requests: number;
  readonly reported: number;
}

/** Rules of a realistic flag, whose signed definition has some 3 KB. */
function rulesOf(flag: number, change: number): RuleDefinition[] {
  return Array.from({ length: 3 }, (_, priority) => ({
    id: `rule-${flag}-${priority}`,
    type: 'vehicle_target',
    priority,
    enabled: true,
    conditions: {
      models: Array.from({ length: 30 }, (_model, index) => `Model ${index} of ${change}`),
      sw_version: '>= 2.5.0',
      regions: ['EU', 'NA'],
    },
  }));
}

/** Reads megabytes of `name` (VmRSS, VmHWM) as Linux counts them. */
async function megabytes(child: ChildProcess, name: 'VmRSS' | 'VmHWM'): Promise<number> {
  const text = await readFile(`/proc/${child.pid}/status`, 'utf8');
  return Number(new RegExp(`${name}:\\s+(\\d+)`).exec(text)?.[1]) / 1024;
}

/**
 * Reads the resident megabytes of a process's WebAssembly memory. V8 reserves gigabytes behind each such memory, so
 * that no index reaches other data: the memory is the mapping before such a reservation.
 */
async function wasmMegabytes(child: ChildProcess): Promise<number> {
  const mappings = [
    ...(await readFile(`/proc/${child.pid}/smaps`, 'utf8')).matchAll(
      /^([0-9a-f]+)-([0-9a-f]+) (\S+).*\n(?:\w+:.*\n)*?Rss: +(\d+)/gm,
    ),
  ].map(([, from, to, mode, rss]) => ({
    from: parseInt(from!, 16),
    to: parseInt(to!, 16),
    mode: mode!,
    rssKb: Number(rss),
  }));
  const memories = mappings.filter(({ mode, to }, index) => {
    const behind = mappings[index + 1];
    return (
      mode.startsWith('rw') && behind?.from === to && behind.mode.startsWith('---') && behind.to - behind.from > 2 ** 31
    );
  });
  return memories.reduce((sum, { rssKb }) => sum + rssKb, 0) / 1024;
}

const CONTEXT = '{"context":{"subscription":"premium","model":"Ioniq 6","swVersion":"2.6.0"}}';

function ask(base: string, path: string, agent: Agent, body = CONTEXT): Promise<number> {
  return new Promise((resolve, reject) => {
    request(base + path, { method: 'POST', agent, headers: { 'content-type': 'application/json' } }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    })
      .on('error', reject)
      .end(body);
  });
}

/** The conditions under which an agent runs. */
interface Setting extends AgentCommand {
  /** The authority of the control plane's certificate; without it, the connection has no TLS. */
  readonly authority?: Authority;
}

/**
 * Settings of glibc's allocator (docs/guides/agent.md, "Memory"): free memory is returned to the system, and threads
 * share it.
 */
const GIVE_BACK = { MALLOC_ARENA_MAX: '1', MALLOC_MMAP_THRESHOLD_: '65536', MALLOC_TRIM_THRESHOLD_: '65536' };

/** Measures the milliseconds from the spawn to the first evaluation answered from the file, without a control plane. */
async function startFromFile(setting: Setting, vehicle: TestVehicle): Promise<number> {
  const samples: number[] = [];
  for (let round = 0; round < STARTS; round++) {
    const from = performance.now();
    const { child, base } = await startAgent(setting, vehicle);
    const connections = new Agent();
    const status = await ask(base, `${ONE}feature_1`, connections);
    samples.push(performance.now() - from);
    connections.destroy();
    await stopProcess(child);
    if (status !== 200) throw new Error(`answered ${status}`);
  }
  return samples.sort((a, b) => a - b)[Math.floor(STARTS / 2)]!;
}

async function measure(what: string, setting: Setting): Promise<Row> {
  const { authority } = setting;
  const plane = await TestControlPlane.start();
  const vehicle = await TestVehicle.create(plane);
  const connections = new Agent({ keepAlive: true, maxSockets: 4 });
  const front =
    authority === undefined
      ? null
      : await TlsFront.open(Number(new URL(plane.url).port), authority.issue(['localhost']));
  let running: AgentProcess | null = null;
  try {
    for (let flag = 0; flag < FLAGS; flag++) await plane.put(`feature_${flag}`, { rules: rulesOf(flag, 0) });
    let way: AgentWay | undefined;
    if (front !== null && authority !== undefined) {
      const ca = join(vehicle.folder, 'ca.pem');
      await writeFile(ca, authority.certificate);
      way = { url: `wss://localhost:${front.port}/graphql`, options: ['--ca', ca] };
    }
    running = await startAgent(setting, vehicle, way);
    const { child, base } = running;
    const readyMb = await megabytes(child, 'VmRSS');
    let received = Buffer.byteLength(JSON.stringify([...plane.definitions().values()])) * (4 / 3);
    const changeBytes = received / FLAGS;
    const tickMs = 1000 / CHANGES_A_SECOND;
    let [requests, failed] = [0, 0];
    const count = (wanted: number) => (status: number) => {
      requests += 1;
      if (status !== wanted) failed += 1;
    };
    const pending = new Set<Promise<void>>();
    const send = (path: string, body: string, wanted: number) => {
      const sent: Promise<void> = ask(base, path, connections, body)
        .then(count(wanted))
        .finally(() => pending.delete(sent));
      pending.add(sent);
    };
    for (let tick = 1, due = performance.now(); received < RECEIVED_BYTES || plane.batches.length < BATCHES; tick++) {
      if (received < RECEIVED_BYTES) {
        await plane.put(`feature_${tick % FLAGS}`, { rules: rulesOf(tick % FLAGS, tick) });
        received += changeBytes;
      }
      for (let request = 0; request < REQUESTS_A_SECOND / CHANGES_A_SECOND; request++)
        send(`${ONE}feature_${(tick + request) % FLAGS}`, CONTEXT, 200);
      for (let measured = 0; measured < MEASUREMENTS_A_SECOND / CHANGES_A_SECOND; measured++) {
        send(
          '/v1/track',
          JSON.stringify({
            metric: 'trip_minutes',
            value: tick % 90,
            flagKey: `feature_${tick % FLAGS}`,
            tags: { trip: 'commute' },
          }),
          202,
        );
      }
      due += tickMs;
      await pause(Math.max(0, due - performance.now()));
    }
    await Promise.all(pending);
    if (failed > 0) throw new Error(`${failed} requests failed`);
    await eventually(
      async () => ((await (await fetch(`${base}/v1/status`)).json()) as AgentStatus).revision === plane.revision,
      'every change has arrived',
    );
    const [peakMb, sqliteMb] = [await megabytes(child, 'VmHWM'), await wasmMegabytes(child)];
    const { size } = await stat(vehicle.databaseFile);
    await stopProcess(child);
    await plane.stop();
    const reported = plane.batches.reduce((sum, { items }) => sum + items.length, 0);
    return {
      what,
      readyMb,
      peakMb,
      sqliteMb,
      startMs: await startFromFile(setting, vehicle),
      databaseKb: size / 1024,
      requests,
      reported,
    };
  } finally {
    connections.destroy();
    if (running !== null) await stopProcess(running.child);
    await front?.close();
    await vehicle.dispose();
    await plane.stop();
  }
}

async function emptyProcess(): Promise<number> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1e9); console.log("up")'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(child.stdout, 'data');
  const peak = await megabytes(child, 'VmHWM');
  await stopProcess(child);
  return peak;
}

/**
 * Prints the table. Takes about eight minutes, since measurements are reported once a minute. Linux only: it reads
 * /proc.
 */
export async function run(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'fleetflag-bench-agent-'));
  try {
    await promisify(execFile)('npm', ['pack', '--pack-destination', folder], { cwd: join(ROOT, 'agent') });
    const [packed] = (await promisify(execFile)('sh', ['-c', `cd ${folder} && tar xzf *.tgz && pwd`])).stdout.split(
      '\n',
    );
    const command = [join(packed!, 'package/dist/fleetflag-agent.cjs')];
    const authority = createAuthority('Benchmark');
    const rows = [
      await measure('the packed command', { command }),
      await measure('the same over wss', { command, authority }),
      await measure('over wss, an allocator that gives back', { command, authority, environment: GIVE_BACK }),
      await measure('from source', { command: ['--import', 'tsx', join(ROOT, 'agent/command/main.ts')] }),
    ];
    console.log(
      `\nThe agent: ${FLAGS} flags, ${RECEIVED_BYTES / 1e6} MB of definitions received, ${REQUESTS_A_SECOND} OFREP requests/s, ${MEASUREMENTS_A_SECOND} measurements/s, ${BATCHES} batches reported\n`,
    );
    console.log(
      '| process | ready, MB resident | peak, MB resident | of it SQLite, MB | start to first evaluation, ms | database, KB | requests | rows reported |',
    );
    console.log('|---|---|---|---|---|---|---|---|');
    console.log(`| an empty Node process | | ${(await emptyProcess()).toFixed(1)} | | | | | |`);
    for (const row of rows) {
      console.log(
        `| ${row.what} | ${row.readyMb.toFixed(1)} | ${row.peakMb.toFixed(1)} | ${row.sqliteMb.toFixed(1)} | ${row.startMs.toFixed(0)} | ${row.databaseKb.toFixed(0)} | ${row.requests} | ${row.reported} |`,
      );
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
