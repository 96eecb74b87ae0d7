/**
 * The bound `noReturnBelow`: a vehicle without a connection during a kill switch or a disabling, with a real agent at a
 * whole control plane.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { FleetFlagAgent } from '../agent/assembly/fleet-flag-agent.ts';
import { PinnedKeys } from '../agent/trust/pinned-keys.ts';
import { createVehicleTokens } from '../core/credentials/vehicle-token.ts';
import { eventually } from '../core/testing/eventually.ts';
import { openAll, type Lifecycle } from '../main/process/lifecycle.ts';
import { createFlagChanges } from '../subgraphs/flags/changes/change.ts';
import { FlagService } from '../subgraphs/flags/flags/flag-service.ts';
import { createSigner, generateSigningKey } from '../subgraphs/flags/signing/signing.ts';
import { createInProcessBus } from '../subgraphs/shared/feeds/bus.ts';
import { createInProcessStore } from '../subgraphs/shared/stores/key-value-store.ts';
import { createInProcessRateLimiter } from '../subgraphs/shared/stores/rate-limiter.ts';
import { identityOf, silent, user } from '../subgraphs/shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../subgraphs/shared/testing/test-database.ts';
import { createTestMetricsStore, type TestMetricsStore } from '../subgraphs/shared/testing/test-metrics-store.ts';
import { startWholeControlPlane, type WholeControlPlane } from './testing/whole-control-plane.ts';

const VIN = 'KMHK281HGNU000001';
const KEYS = ['killed', 'disabled', 'edited'];
const operator = identityOf(user('WRITE'));

let database: TestDatabase;
let metrics: TestMetricsStore;
let lifecycle: Lifecycle;
let plane: WholeControlPlane;
let flags: FlagService;
let folder: string;
let keys: PinnedKeys;
let agent: FleetFlagAgent | undefined;

beforeAll(async () => {
  [database, metrics] = await Promise.all([createTestDatabase(), createTestMetricsStore()]);
  const { prisma } = database.database;
  const [signer, bus, store, limiter] = [
    await createSigner(await generateSigningKey()),
    createInProcessBus(),
    createInProcessStore(),
    createInProcessRateLimiter(),
  ];
  const vehicleTokens = createVehicleTokens('a-secret-of-more-than-32-characters-x');
  flags = new FlagService(prisma, createFlagChanges(prisma, signer, bus, silent));
  await prisma.vehicle.create({
    data: { vin: VIN, model: 'EV9', swVersion: '2.5.0', region: 'EU', status: 'offline', environment: 'production' },
  });
  lifecycle = await openAll(async (ending) => {
    plane = await startWholeControlPlane(
      { database: database.database, bus, store, limiter, vehicleTokens, signer, metrics: metrics.store },
      ending,
    );
    return ending;
  });
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-no-return-'));
  await writeFile(
    join(folder, 'token'),
    await vehicleTokens.issue(VIN, 'production', new Date(Date.now() + 3_600_000)),
  );
  keys = await PinnedKeys.parse(signer.publicKeys);
}, 60_000);

afterAll(async () => {
  await agent?.close();
  await lifecycle?.close();
  await metrics?.drop();
  await database?.drop();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
}, 60_000);

/** Starts the vehicle's agent, and waits until it holds everything. */
async function start(): Promise<FleetFlagAgent> {
  const started = new FleetFlagAgent({
    url: `ws://127.0.0.1:${plane.gateway.port}/graphql`,
    tokenFile: join(folder, 'token'),
    databaseFile: join(folder, 'flags.db'),
    keys,
    timings: { faultsSpreadMs: 1 },
  });
  agent = started;
  await started.start();
  await eventually(async () => {
    const row = await database.database.prisma.environment.findUniqueOrThrow({ where: { name: 'production' } });
    return started.status().revision === Number(row.revision);
  }, 'the vehicle holds everything');
  return started;
}

/** Gives all vehicles the value true. */
const serve = (key: string) =>
  flags.createRule(operator, key, { type: 'percentage_rollout', conditions: { rollout_percentage: 100 } }, null);

test('a vehicle that missed a stop and its end goes back to nothing from before the stop', async () => {
  for (const key of KEYS)
    await flags.createFlag(operator, {
      ...{ key, name: key, type: 'boolean', defaultValue: false, safetyLevel: 'Non-Critical' },
      ...{ environment: 'production', enabled: true },
    });
  const proven = await start();
  await proven.setVehicleState({ ignition: 'on', moving: true });
  await proven.setVehicleState({ ignition: 'off', moving: false });
  expect(proven.status().lastKnownGood.kept).toBe(KEYS.length);
  await proven.close();

  await flags.killSwitch(operator, 'killed', 'smoke');
  await flags.releaseKillSwitch(operator, 'killed', 'no smoke');
  await flags.setEnabled(operator, 'disabled', false, null);
  await flags.setEnabled(operator, 'disabled', true, null);
  for (const key of KEYS) await serve(key);

  const back = await start();
  const served = () => KEYS.map((key) => back.booleanValue(key, false));
  expect(served()).toEqual([true, true, true]);
  for (const key of KEYS) back.reportFault(key, 'The display stays dark.', 'fatal');
  await back.faultsWritten();
  expect(served()).toEqual([true, true, false]);
  expect(back.status().lastKnownGood.returned).toMatchObject([{ key: 'edited' }]);
}, 120_000);
