import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createVehicleTokens } from '../core/credentials/vehicle-token.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { createFlagChanges } from '../subgraphs/flags/changes/change.ts';
import { FlagService } from '../subgraphs/flags/flags/flag-service.ts';
import { createSigner, generateSigningKey, type Signer } from '../subgraphs/flags/signing/signing.ts';
import { createInProcessBus } from '../subgraphs/shared/feeds/bus.ts';
import { createInProcessStore } from '../subgraphs/shared/stores/key-value-store.ts';
import { createInProcessRateLimiter } from '../subgraphs/shared/stores/rate-limiter.ts';
import { identityOf, silent, user } from '../subgraphs/shared/testing/asking.ts';
import { eventually } from '../core/testing/eventually.ts';
import { createTestDatabase, type TestDatabase } from '../subgraphs/shared/testing/test-database.ts';
import { createTestMetricsStore, type TestMetricsStore } from '../subgraphs/shared/testing/test-metrics-store.ts';
import { watchDatabase, type WatchedDatabase } from '../subgraphs/shared/testing/watched-database.ts';
import { openAll, type Lifecycle } from '../main/process/lifecycle.ts';
import { VehicleCrowd } from './testing/vehicle-crowd.ts';
import { startWholeControlPlane } from './testing/whole-control-plane.ts';
import { rounds } from '../core/testing/rounds.ts';

const VEHICLES = rounds(500, 2_000);
/** The number of those that were connected to this control plane before. */
const FORMER = 100;
const FLAGS = 20;
/** The timeout of each wait, in milliseconds, on a machine that is busy with other tests. */
const TIMEOUT_MS = 120_000;
const ENVIRONMENT = 'production';

const PARTITIONS = /prepared as vehicle_partitions/;

let database: TestDatabase;
let watched: WatchedDatabase;
let metrics: TestMetricsStore;
let signer: Signer;
let flags: FlagService;
const tokens = createVehicleTokens('a-secret-of-more-than-32-characters-x');
const operator = identityOf(user('WRITE'));
let crowd: VehicleCrowd | undefined;
let running: { readonly lifecycle: Lifecycle; readonly gateway: Gateway };

beforeAll(async () => {
  [database, metrics, signer] = await Promise.all([
    createTestDatabase(),
    createTestMetricsStore(),
    generateSigningKey().then(createSigner),
  ]);
  watched = await watchDatabase(database.url);
  const { prisma } = database.database;
  flags = new FlagService(prisma, createFlagChanges(prisma, signer, createInProcessBus(), silent));
  for (let index = 0; index < FLAGS; index++) {
    const key = `flag_${index}`;
    await flags.createFlag(operator, {
      key,
      name: key,
      type: 'boolean',
      defaultValue: false,
      safetyLevel: 'Non-Critical',
      environment: ENVIRONMENT,
      enabled: true,
    });
  }
  running = await start(0);
});

afterAll(async () => {
  await crowd?.close();
  await running.lifecycle.close();
  await watched.close();
  await metrics.drop();
  await database.drop();
});

/** The control plane in one process, knowing nothing of what was before. */
async function start(port: number): Promise<{ lifecycle: Lifecycle; gateway: Gateway }> {
  let gateway!: Gateway;
  const lifecycle = await openAll(async (ending) => {
    const { prisma } = watched;
    const [bus, store, limiter] = [createInProcessBus(), createInProcessStore(), createInProcessRateLimiter()];
    ending.onClose(() => Promise.all([bus.close(), store.close()]));
    const parts = {
      database: { ...database.database, prisma, replicas: [], position: async () => 0n, lane: () => prisma },
      bus,
      store,
      limiter,
      vehicleTokens: tokens,
      signer,
      metrics: metrics.store,
    };
    ({ gateway } = await startWholeControlPlane(parts, ending, port));
    return ending;
  });
  return { lifecycle, gateway };
}

const token = (index: number) =>
  tokens.issue(`KMHK281HGNU${String(index).padStart(6, '0')}`, ENVIRONMENT, new Date(Date.now() + 3_600_000));

test(`${VEHICLES} vehicles that meet a restarted control plane within a second are in sync, and the database sees what one of them would cost`, async () => {
  const present = (crowd = new VehicleCrowd(`ws://127.0.0.1:${running.gateway.port}/graphql`, 'PRODUCTION'));
  for (let index = 0; index < FORMER; index++) present.add(await token(index), FLAGS);
  await eventually(() => present.inSync(FLAGS) === FORMER, undefined, TIMEOUT_MS);

  const { port } = running.gateway;
  present.loseCoverage();
  await running.lifecycle.close();
  // Those of other gateways that went down with it.
  for (let index = FORMER; index < VEHICLES; index++) present.add(await token(index), FLAGS);
  await flags.setEnabled(operator, 'flag_0', false, null);
  running = await start(port);
  watched.statements.length = 0;
  const from = performance.now();
  present.regainCoverage();
  await eventually(() => present.inSync(FLAGS + 1) === VEHICLES, undefined, TIMEOUT_MS);

  const seconds = (performance.now() - from) / 1_000;
  const counted = new Map<string, number>();
  for (const { query } of watched.statements) {
    const what = /\bsigned_definition\b|\bjws\b/.test(query)
      ? 'definitions'
      : /\bFROM environments(\)|$)/.test(query)
        ? 'looks'
        : PARTITIONS.test(query)
          ? 'partitions'
          : 'everything else';
    counted.set(what, (counted.get(what) ?? 0) + 1);
  }
  // One read of what has changed, for all of them.
  expect(counted.get('definitions')).toBe(1);
  // Small ones, shared by who asks at the same time: ten a second while a crowd does, and on a machine so slow that few
  // ask at a time each still serves several. The feed's own, one a second, are among them.
  expect(counted.get('looks')).toBeGreaterThan(0);
  expect(counted.get('looks')).toBeLessThanOrEqual(Math.max(11 * seconds + 5, VEHICLES / 2));
  // Each second ten times those that have come meanwhile.
  expect(counted.get('partitions')).toBeGreaterThan(0);
  expect(counted.get('partitions')).toBeLessThanOrEqual(11 * seconds + 5);
  // What the subgraphs do anyway, whether or not there are vehicles: looking for due rollouts, ended credentials,
  // revoked tokens; and presence, reported each second.
  expect(counted.get('everything else')).toBeLessThanOrEqual(16 * seconds + 22);
  // Their presence, reported each second by the thousand: nothing is asked or written for one of them.
  expect(
    watched.statements.filter(
      ({ query, params }) => !PARTITIONS.test(query) && JSON.stringify(params).includes('KMHK281HGNU'),
    ).length,
  ).toBeLessThanOrEqual(6 * seconds + 12);
  // Everybody got the one flag that had changed, and not the others.
  expect(present.syncBytes / VEHICLES).toBeLessThan(2_000);
}, 270_000);
