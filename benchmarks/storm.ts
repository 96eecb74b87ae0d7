/**
 * Measures what a fleet costs a whole control plane in one process, authentication included: coming back at once,
 * staying silent, one change, and 50 changes within a second. Compares one delivery with a loop that does nothing but
 * write the same bytes to as many sockets.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createVehicleTokens } from '../core/credentials/vehicle-token.ts';
import { ApiClient } from '../commands/demo/api-client.ts';
import { Child } from '../commands/demo/child-process.ts';
import { deleteEmbeddedPostgres } from '../subgraphs/shared/postgres/embedded/embedded-postgres.ts';
import { wallClock } from './fan-out-messages.ts';
import { measureWriteLoop } from './harness/write-loop.ts';
import { Participant } from './participant.ts';
import type { VehicleCommand, VehicleMessage } from './storm-messages.ts';

const VEHICLES = 19_000;
const FLAG = 'adaptive_suspension';
const FLAGS = 20;
/** Single changes that are measured, and those before them that are not: code has to be compiled first. */
const ROUNDS = 10;
const WARM_UP = 4;
const BURST = 50;
/** Milliseconds for which the silent fleet is watched. */
const REST_MS = 20_000;
const PATIENCE_MS = 600_000;

export interface StormFigures {
  readonly vehicles: number;
  readonly stormSeconds: number;
  readonly stormCpuMs: number;
  readonly refused: number;
  readonly lost: number;
  readonly kilobytes: number;
  readonly restPercent: number;
  readonly messageBytes: number;
  readonly deliveryMicroseconds: number;
  readonly lastMilliseconds: number;
  /** CPU of the burst, in that of one change. */
  readonly burstChanges: number;
  readonly burstMutationMs: number;
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

/** A process's CPU seconds and resident bytes, as Linux counts them. */
async function usage({ pid }: Child): Promise<{ cpuMs: number; bytes: number }> {
  const [stat, status] = await Promise.all([
    readFile(`/proc/${pid}/stat`, 'utf8'),
    readFile(`/proc/${pid}/status`, 'utf8'),
  ]);
  // After the name, which may hold blanks; fields 14 and 15 of proc(5), in hundredths of a second.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return {
    cpuMs: (Number(fields[11]) + Number(fields[12])) * 10,
    bytes: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1_024,
  };
}

/** Measures all of it. @param settings more environment variables for the control plane */
export async function measureStorm(
  vehicles = VEHICLES,
  settings: Readonly<Record<string, string>> = {},
): Promise<StormFigures> {
  const folder = await mkdtemp(join(tmpdir(), 'fleetflag-bench-'));
  const dataDir = join(folder, 'control-plane');
  const [password, secret] = [randomBytes(16).toString('base64url'), randomBytes(32).toString('base64url')];
  let server: Child | undefined;
  let fleet: Participant<VehicleCommand, VehicleMessage> | undefined;
  try {
    server = new Child(['commands/start.ts'], {
      PORT: '0',
      FLEETFLAG_DATA_DIR: dataDir,
      FLEETFLAG_INTERNAL_SECRET: secret,
      FLEETFLAG_ADMIN_PASSWORD: password,
      LOG_LEVEL: 'error',
      ...settings,
    });
    const [, port = ''] = await server.printed(/FleetFlag ready at http:\/\/localhost:(\d+)/, 'stdout', PATIENCE_MS);
    const api = new ApiClient(`http://127.0.0.1:${port}`);
    await api.signIn('admin@fleetflag.local', password);
    for (let n = 0; n < FLAGS; n++) await createFlag(api, n === 0 ? FLAG : `feature_${n}`);
    const tokensFile = join(folder, 'tokens.json');
    await writeFile(tokensFile, JSON.stringify(await tokensOf(secret, vehicles)));
    fleet = Participant.start<VehicleCommand, VehicleMessage>('./storm-vehicles.ts', ['127.0.0.1', port, tokensFile]);
    await fleet.next('ready');
    return await measure(server, fleet, api, vehicles);
  } finally {
    await fleet?.stop();
    await server?.stop();
    await deleteEmbeddedPostgres(dataDir);
    await rm(folder, { recursive: true, force: true });
  }
}

async function createFlag(api: ApiClient, key: string): Promise<void> {
  const input = {
    ...{ key, name: key, type: 'BOOLEAN', defaultValue: false, safetyLevel: 'ASIL_B', environment: 'PRODUCTION' },
    enabled: true,
  };
  await api.ask('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', { input });
}

function tokensOf(secret: string, vehicles: number): Promise<string[]> {
  const tokens = createVehicleTokens(secret);
  const expiresAt = new Date(Date.now() + 3_600_000);
  return Promise.all(
    Array.from({ length: vehicles }, (_, n) =>
      tokens.issue(`KMHK281HGNU${String(n).padStart(6, '0')}`, 'production', expiresAt),
    ),
  );
}

async function measure(
  server: Child,
  fleet: Participant<VehicleCommand, VehicleMessage>,
  api: ApiClient,
  vehicles: number,
): Promise<StormFigures> {
  // A thousand first: what is compiled and loaded for them is no cost of the others.
  const first = Math.min(1_000, Math.floor(vehicles / 4));
  fleet.tell({ connect: first });
  await fleet.next('allSyncedAt');
  await pause(5_000);
  const few = await usage(server);
  fleet.tell({ connect: vehicles - first });
  const storm = await fleet.next('allSyncedAt');
  await pause(2_000);
  const stormed = await usage(server);
  // Memory of the storm itself is given back within some seconds.
  await pause(10_000);
  const silent = await usage(server);
  await pause(REST_MS);
  const rested = await usage(server);

  const change = async (n: number) => {
    const from = performance.now();
    const on = n % 2 === 0;
    await api.ask(`mutation { updateFlag(key: "${FLAG}", input: { description: "Change ${n} ${on}" }) { applied } }`);
    return performance.now() - from;
  };
  const last: number[] = [];
  let messageBytes = 0;
  let before = await usage(server);
  for (let n = 0; n < WARM_UP + ROUNDS; n++) {
    if (n === WARM_UP) before = await usage(server);
    fleet.tell({ expect: vehicles });
    await fleet.next('ready');
    await change(n);
    const answeredAt = wallClock();
    const heard = await fleet.next('lastAt');
    messageBytes = heard.messageBytes;
    if (n >= WARM_UP) last.push(heard.lastAt - answeredAt);
    await pause(200);
  }
  const after = await usage(server);
  const oneMs = (after.cpuMs - before.cpuMs) / ROUNDS;

  fleet.tell({ expect: vehicles * BURST });
  await fleet.next('ready');
  const durations: number[] = [];
  for (let n = 0; n < BURST; n++) {
    const due = pause(1_000 / BURST);
    durations.push(await change(100 + n));
    await due;
  }
  await fleet.next('lastAt');
  await pause(200);
  const burst = await usage(server);
  return {
    vehicles,
    stormSeconds: storm.seconds,
    stormCpuMs: (stormed.cpuMs - few.cpuMs) / (vehicles - first),
    refused: storm.refused,
    lost: storm.lost,
    kilobytes: (silent.bytes - few.bytes) / 1_024 / (vehicles - first),
    restPercent: ((rested.cpuMs - silent.cpuMs) / REST_MS) * 100,
    messageBytes,
    deliveryMicroseconds: (oneMs * 1_000) / vehicles,
    lastMilliseconds: median(last),
    burstChanges: (burst.cpuMs - after.cpuMs) / oneMs,
    burstMutationMs: median(durations),
  };
}

/** Prints the figures. Takes about three minutes. Linux only: it reads /proc. */
export async function run(): Promise<void> {
  const figures = await measureStorm();
  console.log(`\nA fleet of ${figures.vehicles} at one control plane in one process\n\n| | |\n|---|---|`);
  for (const [name, value] of Object.entries(figures)) console.log(`| ${name} | ${Number(value).toFixed(2)} |`);
  const loop = await measureWriteLoop(figures.vehicles, figures.messageBytes, ROUNDS);
  console.log(
    loop === null
      ? '\nThis machine has no C compiler (cc): the loop of writes is left out.'
      : `\nA loop of writes of the same bytes takes ${loop.deliveryMicroseconds.toFixed(1)} µs of CPU a delivery, and the last reader has them after ${loop.lastMilliseconds.toFixed(0)} ms: FleetFlag takes ${(figures.deliveryMicroseconds / loop.deliveryMicroseconds).toFixed(2)} × the CPU (goal ≤ 1.4 ×).`,
  );
}
