/**
 * Measures what a fleet costs a whole control plane in one process, authentication included: coming back at once,
 * staying silent, one change, and 50 changes within a second. Compares one delivery with a loop that does nothing but
 * write the same bytes to as many sockets.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createVehicleTokens } from '../../core/credentials/vehicle-token.ts';
import type { ApiClient } from '../../commands/demo/api-client.ts';
import { wallClockMs } from '../fan-out/fan-out-messages.ts';
import { BenchmarkControlPlane } from '../harness/control-plane.ts';
import type { BenchmarkOptions } from '../harness/options.ts';
import { median } from '../harness/numbers.ts';
import { gatewayUsage, type GatewayUsage } from '../harness/process-usage.ts';
import { measureWriteLoop } from '../harness/write-loop.ts';
import { DEFAULT_LIMITS } from '../../gateway/subscriptions/subscription-limits.ts';
import { StormFleet } from './storm-fleet.ts';

const VEHICLES = 19_000;
const FLAG = 'adaptive_suspension';
const FLAGS = 20;
/** Single changes that are measured, and those before them that are not: code has to be compiled first. */
const ROUNDS = 10;
const WARM_UP = 4;
const BURST = 50;
/** Milliseconds between two changes, and after the last one. */
const BETWEEN_MS = 200;
/** The text that all requests share, as those of a program do. */
const CHANGE =
  'mutation ($key: String!, $description: String!) { updateFlag(key: $key, input: { description: $description }) { flag { revision } } }';
/** A policy whose first stage outlasts the benchmark, and a change that it holds back. */
const POLICY =
  'mutation { setReleasePolicy(input: { environment: PRODUCTION, stages: [{ percentage: 10, soak: "P1D" }, { percentage: 100, soak: "P1D" }] }) { environment } }';
const RELEASED =
  'mutation ($key: String!) { updateFlag(key: $key, input: { defaultValue: true }) { flag { revision release { percentage } } } }';
/** Milliseconds for which the silent fleet is watched: in each such time every vehicle is pinged once. */
const REST_MS = DEFAULT_LIMITS.pingIntervalMs;
/** Milliseconds over which the backups of a fleet that has come back are spread: a tenth of `resyncMs`. */
const BACKUPS_WITHIN_MS = 60_000;
/** Milliseconds between two changes while backups come. */
const BACKUP_CHANGES_MS = 2_000;
const NO_BACKUPS = { backupCpuMs: 0, backupsNotStored: 0, lastMillisecondsMeanwhile: 0 };
/** The vehicles that are registered by one request. */
const REGISTERED_AT_ONCE = 1_000;

/** The measurements of one fleet. */
export interface StormFigures {
  readonly vehicles: number;
  readonly stormSeconds: number;
  readonly stormCpuMs: number;
  readonly refused: number;
  readonly reset: number;
  readonly lost: number;
  readonly kilobytes: number;
  readonly restPercent: number;
  readonly messageBytes: number;
  readonly deliveryMicroseconds: number;
  readonly lastMilliseconds: number;
  /** CPU of the burst, in that of one change. */
  readonly burstChanges: number;
  readonly burstMutationMs: number;
  /** CPU of one change of a flag that is for one model alone, in milliseconds; 0 where all share one partition. */
  readonly changeOfModelMs: number;
  /** CPU and bytes of a change while a release of its flag is under way, in those of a change without one. */
  readonly releaseTimes: number;
  readonly releaseBytesTimes: number;
  /** CPU of one backup, and the backups that were not stored; 0 where none were sent. */
  readonly backupCpuMs: number;
  readonly backupsNotStored: number;
  /** The median milliseconds from a change's answer until the last vehicle has it, while backups come. */
  readonly lastMillisecondsMeanwhile: number;
}

/** The fleet and the control plane to measure. */
export interface StormOptions {
  readonly vehicles?: number;
  /** Gateway processes. Each holds as many vehicles as it may open files: 20,000 by Linux's default. */
  readonly workers?: number;
  /**
   * The number of models of the vehicles, each with flags of its own and so a partition; 0 for one partition of all.
   */
  readonly models?: number;
  /** Whether each vehicle stores a backup within the time over which agents spread theirs. */
  readonly backups?: boolean;
  /** More environment variables for the control plane. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** Measures a fleet of one size. */
export async function measureStorm({
  vehicles = VEHICLES,
  workers = 1,
  models = 0,
  backups = false,
  settings = {},
}: StormOptions = {}): Promise<StormFigures> {
  const folder = await mkdtemp(join(tmpdir(), 'fleetflag-bench-'));
  let plane: BenchmarkControlPlane | null = null;
  let fleet: StormFleet | undefined;
  try {
    plane = await BenchmarkControlPlane.start({ workers, environment: settings });
    if (plane === null) throw new Error('The control plane has not started.');
    for (let n = 0; n < FLAGS; n++) await createFlag(plane.api, n === 0 ? FLAG : `feature_${n}`);
    for (let n = 0; n < models; n++) await createFlag(plane.api, flagOf(n), [modelOf(n)]);
    if (models > 0 || backups) await register(plane.api, vehicles, Math.max(1, models));
    const tokensFile = join(folder, 'tokens.json');
    await writeFile(tokensFile, JSON.stringify(await tokensOf(plane.secret, vehicles)));
    fleet = await StormFleet.start(new URL(plane.url), tokensFile, vehicles);
    return await measure(plane, fleet, { vehicles, models, backups });
  } finally {
    await fleet?.stop();
    await plane?.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

const vinOf = (n: number) => `KMHK281HGNU${String(n).padStart(6, '0')}`;
const modelOf = (n: number) => `Model ${n}`;
/** The key of the flag that is for one model alone. */
const flagOf = (model: number) => `of_model_${model}`;

/** Registers the vehicles, as many of each model. */
async function register(api: ApiClient, vehicles: number, models: number): Promise<void> {
  for (let first = 0; first < vehicles; first += REGISTERED_AT_ONCE) {
    const input = Array.from({ length: Math.min(REGISTERED_AT_ONCE, vehicles - first) }, (_, n) => ({
      ...{ vin: vinOf(first + n), model: modelOf((first + n) % models), swVersion: '2.5.0', region: 'EU' },
    }));
    await api.ask('mutation ($input: [RegisterVehicleInput!]!) { registerVehicles(input: $input) { vin } }', { input });
  }
}

async function createFlag(api: ApiClient, key: string, scope: readonly string[] | null = null): Promise<void> {
  const input = {
    ...{ key, name: key, type: 'BOOLEAN', defaultValue: false, safetyLevel: 'ASIL_B', environment: 'PRODUCTION' },
    ...{ enabled: true, scope },
  };
  await api.ask('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', { input });
}

function tokensOf(secret: string, vehicles: number): Promise<string[]> {
  const tokens = createVehicleTokens(secret);
  const expiresAt = new Date(Date.now() + 3_600_000);
  return Promise.all(Array.from({ length: vehicles }, (_, n) => tokens.issue(vinOf(n), 'production', expiresAt)));
}

async function measure(
  plane: BenchmarkControlPlane,
  fleet: StormFleet,
  { vehicles, models, backups }: { readonly vehicles: number; readonly models: number; readonly backups: boolean },
): Promise<StormFigures> {
  const usage = () => gatewayUsage(plane.gatewayPid);
  // A thousand first: what is compiled and loaded for them is no cost of the others.
  const first = Math.min(1_000, Math.floor(vehicles / 4));
  await fleet.connect(first);
  await pause(5_000);
  const few = await usage();
  const storm = await fleet.connect(vehicles - first);
  await pause(2_000);
  const stormed = await usage();
  // Memory of the storm itself is given back within some seconds.
  await pause(10_000);
  const silent = await usage();
  await pause(REST_MS);
  const rested = await usage();

  /** Changes the flag; gives the revision, and the milliseconds until the answer. */
  const change = async (n: number, key = FLAG) => {
    const from = performance.now();
    const { updateFlag } = await plane.api.ask<{ updateFlag: { flag: { revision: number } } }>(CHANGE, {
      key,
      description: `Change ${n}`,
    });
    return { revision: updateFlag.flag.revision, tookMs: performance.now() - from };
  };
  /**
   * Changes the flag once after another. Gives the CPU of one change, and the median milliseconds until the last
   * vehicle.
   */
  const changes = async () => {
    const last: number[] = [];
    let messageBytes = 0;
    let before = await usage();
    for (let n = 0; n < WARM_UP + ROUNDS; n++) {
      if (n === WARM_UP) before = await usage();
      const { revision } = await change(n);
      const answeredAtMs = wallClockMs();
      const heard = await fleet.until(revision);
      messageBytes = heard.messageBytes;
      if (n >= WARM_UP) last.push(heard.lastAtMs - answeredAtMs);
      await pause(BETWEEN_MS);
    }
    const after = await usage();
    return { oneMs: cpuBetween(before, after) / ROUNDS, after, lastMs: median(last), messageBytes };
  };
  const { oneMs, after, lastMs, messageBytes } = await changes();

  const measureBackups = async () => {
    const before = await usage();
    fleet.backUp(BACKUPS_WITHIN_MS);
    const last: number[] = [];
    let answers = { stored: 0, notStored: 0 };
    while (answers.stored + answers.notStored < vehicles) {
      const changed = await change(2_000 + last.length);
      const answeredAtMs = wallClockMs();
      const heard = await fleet.until(changed.revision);
      last.push(heard.lastAtMs - answeredAtMs);
      answers = heard;
      await pause(BACKUP_CHANGES_MS);
    }
    return {
      backupCpuMs: (cpuBetween(before, await usage()) - last.length * oneMs) / vehicles,
      backupsNotStored: answers.notStored,
      lastMillisecondsMeanwhile: median(last),
    };
  };

  const durations: number[] = [];
  let revision = 0;
  for (let n = 0; n < BURST; n++) {
    const due = pause(1_000 / BURST);
    const changed = await change(100 + n);
    revision = changed.revision;
    durations.push(changed.tookMs);
    await due;
  }
  await fleet.until(revision);
  await pause(BETWEEN_MS);
  const burst = await usage();
  // Few vehicles get these changes, so that the wait is long enough for them.
  for (let n = 0; n < (models > 0 ? ROUNDS : 0); n++) {
    await change(1_000 + n, flagOf(0));
    await pause(BETWEEN_MS);
  }
  const scoped = await usage();
  // The burst has compiled more code, so that the changes without a release are measured once more.
  const without = await changes();
  await plane.api.ask(POLICY, {});
  const { updateFlag } = await plane.api.ask<Released>(RELEASED, { key: FLAG });
  if (updateFlag.flag.release?.percentage !== 10) throw new Error('The change has started no release.');
  await fleet.until(updateFlag.flag.revision);
  const within = await changes();
  return {
    ...(backups ? await measureBackups() : NO_BACKUPS),
    vehicles,
    stormSeconds: storm.seconds,
    stormCpuMs: cpuBetween(few, stormed) / (vehicles - first),
    refused: storm.refused,
    reset: storm.reset,
    lost: storm.lost,
    kilobytes: (silent.bytes - few.bytes) / 1_024 / (vehicles - first),
    restPercent: (cpuBetween(silent, rested) / REST_MS) * 100,
    messageBytes,
    deliveryMicroseconds: (oneMs * 1_000) / vehicles,
    lastMilliseconds: lastMs,
    burstChanges: cpuBetween(after, burst) / oneMs,
    burstMutationMs: median(durations),
    changeOfModelMs: models > 0 ? cpuBetween(burst, scoped) / ROUNDS : 0,
    releaseTimes: within.oneMs / without.oneMs,
    releaseBytesTimes: within.messageBytes / without.messageBytes,
  };
}

/** The answer to the change that starts a release. */
interface Released {
  readonly updateFlag: {
    readonly flag: { readonly revision: number; readonly release: { readonly percentage: number } | null };
  };
}

const cpuBetween = (from: GatewayUsage, to: GatewayUsage) => to.cpuMs - from.cpuMs;

/** Prints the figures. Takes about three minutes. Linux only: it reads /proc. */
export async function run({
  vehicles = VEHICLES,
  workers = 1,
  models = 0,
  backups = false,
}: Partial<BenchmarkOptions> = {}): Promise<void> {
  const figures = await measureStorm({ vehicles, workers, models, backups });
  const where =
    workers === 1 ? 'one control plane in one process' : `one control plane with ${workers} gateway processes`;
  const kinds = models > 0 ? ` of ${models} models` : '';
  console.log(`\nA fleet of ${vehicles}${kinds} at ${where}\n\n| | |\n|---|---|`);
  for (const [name, value] of Object.entries(figures)) console.log(`| ${name} | ${Number(value).toFixed(2)} |`);
  // The loop is one process, which may open as many files as a gateway.
  const loop = await measureWriteLoop(Math.min(vehicles, VEHICLES), figures.messageBytes, ROUNDS);
  console.log(
    loop === null
      ? '\nThis machine has no C compiler (cc): the loop of writes is left out.'
      : `\nA loop of writes of the same bytes takes ${loop.deliveryMicroseconds.toFixed(1)} µs of CPU a delivery, and the last reader has them after ${loop.lastMilliseconds.toFixed(0)} ms: FleetFlag takes ${(figures.deliveryMicroseconds / loop.deliveryMicroseconds).toFixed(2)} × the CPU (goal ≤ 1.4 ×).`,
  );
}
