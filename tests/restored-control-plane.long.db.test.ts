/**
 * A backup is restored under a running control plane to which a real agent is connected; then what
 * docs/operations/restoring.md says to run.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { FleetFlagAgent } from '../agent/assembly/fleet-flag-agent.ts';
import { eventually } from '../core/testing/eventually.ts';
import { PinnedKeys } from '../agent/trust/pinned-keys.ts';
import { createVehicleTokens } from '../core/credentials/vehicle-token.ts';
import { createFlagChanges } from '../subgraphs/flags/changes/change.ts';
import { FlagService } from '../subgraphs/flags/flags/flag-service.ts';
import { createSigner, generateSigningKey } from '../subgraphs/flags/signing/signing.ts';
import { backUp } from '../subgraphs/flags/testing/backup.ts';
import { createInProcessBus } from '../subgraphs/shared/feeds/bus.ts';
import { createInProcessStore } from '../subgraphs/shared/stores/key-value-store.ts';
import { createInProcessRateLimiter } from '../subgraphs/shared/stores/rate-limiter.ts';
import { identityOf, silent, user } from '../subgraphs/shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../subgraphs/shared/testing/test-database.ts';
import { createTestMetricsStore, type TestMetricsStore } from '../subgraphs/shared/testing/test-metrics-store.ts';
import { advanceRevisionCommand } from '../commands/admin/signing/advance-revision.ts';
import { openAll, type Lifecycle } from '../main/process/lifecycle.ts';
import { readConfiguration } from '../main/configuration.ts';
import { startWholeControlPlane, type WholeControlPlane } from './testing/whole-control-plane.ts';

const VIN = 'KMHK281HGNU000001';
const operator = identityOf(user('WRITE'));

let database: TestDatabase;
let metrics: TestMetricsStore;
let lifecycle: Lifecycle;
let plane: WholeControlPlane;
let flags: FlagService;
let agent: FleetFlagAgent;
let folder: string;
let key: string;

beforeAll(async () => {
  [database, metrics, key] = await Promise.all([createTestDatabase(), createTestMetricsStore(), generateSigningKey()]);
  const { prisma } = database.database;
  const [signer, bus, store, limiter] = [
    await createSigner(key),
    createInProcessBus(),
    createInProcessStore(),
    createInProcessRateLimiter(),
  ];
  const vehicleTokens = createVehicleTokens('a-secret-of-more-than-32-characters-x');
  flags = new FlagService(prisma, createFlagChanges(prisma, signer, bus, silent));
  await prisma.user.create({ data: { email: 'ann@example.com', name: 'Ann', passwordHash: '-', role: 'ADMIN' } });
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
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-restored-'));
  const tokenFile = join(folder, 'token');
  await writeFile(tokenFile, await vehicleTokens.issue(VIN, 'production', new Date(Date.now() + 3_600_000)));
  agent = new FleetFlagAgent({
    url: `ws://127.0.0.1:${plane.gateway.port}/graphql`,
    tokenFile,
    databaseFile: join(folder, 'flags.db'),
    keys: await PinnedKeys.parse(signer.publicKeys),
    timings: { heartbeatMs: 300, heartbeatSpreadMs: 50, resyncMs: 500, belowMs: 200, aheadMs: 50 },
  });
  await agent.start();
}, 60_000);

afterAll(async () => {
  await agent?.close();
  await lifecycle?.close();
  await metrics?.drop();
  await database?.drop();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
}, 60_000);

const create = (name: string) =>
  flags.createFlag(operator, {
    key: name,
    name,
    type: 'boolean',
    defaultValue: false,
    safetyLevel: 'Non-Critical',
    environment: 'production',
    enabled: true,
  });
const serve = (name: string) =>
  flags.createRule(operator, name, { type: 'percentage_rollout', conditions: { rollout_percentage: 100 } }, null);

test('a vehicle that is ahead of a restored control plane says so, and believes it again once it is lifted: a kill switch reaches it', async () => {
  await create('lane_keep');
  await serve('lane_keep');
  const restore = await backUp(database.database.prisma);
  await create('forgotten');
  await serve('forgotten');
  await eventually(
    () => agent.booleanValue('lane_keep', false) && agent.booleanValue('forgotten', false),
    'the vehicle has both',
  );
  const ahead = agent.status().revision;

  await restore();
  await flags.killSwitch(operator, 'lane_keep', 'smoke');
  await eventually(() => (agent.status().refusals['revision-below-own'] ?? 0) > 0, 'the vehicle refuses to go back');
  expect([agent.status().revision, agent.booleanValue('lane_keep', false)]).toEqual([ahead, true]);

  await eventually(
    async () =>
      (await database.database.prisma.vehicle.findUniqueOrThrow({ where: { vin: VIN } })).appliedRevision ===
      BigInt(ahead),
    'it has reported what it has',
  );
  const configuration = readConfiguration({
    DATABASE_URL: database.url,
    FLEETFLAG_DATA_DIR: folder,
    FLEETFLAG_SIGNING_KEY: key,
    LOG_LEVEL: 'silent',
  });
  const said: string[] = [];
  const output = { out: (line: string) => void said.push(line), err: (line: string) => void said.push(line) };
  expect(
    await advanceRevisionCommand(
      ['--environment', 'production', '--beyond', '0', '--reason', 'restored'],
      configuration,
      output,
    ),
  ).toBe(0);
  expect(said).toEqual([
    `Vehicles of production have reported revision ${ahead}: its revision was raised above that, not only above 0.`,
    `production: from revision ${ahead - 1} to ${ahead + 1}; 1 flags signed again.`,
  ]);

  await eventually(() => !agent.booleanValue('lane_keep', true), 'the kill switch acts');
  await eventually(() => agent.status().revision === ahead + 1, 'its set agrees again');
  expect([agent.flagKeys(), agent.status().proof]).toEqual([
    ['lane_keep'],
    expect.objectContaining({ revision: ahead + 1, held: true }),
  ]);
}, 120_000);
