/**
 * The flags and the experiments subgraph on one database: what one does while the other does something to the same
 * flag.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { FleetFlagError } from '../core/errors.ts';
import type { PrismaClient } from '../prisma/generated/client.ts';
import { ExperimentLifecycle } from '../subgraphs/experiments/experiments/experiment-lifecycle.ts';
import { FurtherLooks } from '../subgraphs/experiments/experiments/looks/further-looks.ts';
import { ExperimentLooks } from '../subgraphs/experiments/experiments/looks/look.ts';
import { ExperimentResults } from '../subgraphs/experiments/experiments/results.ts';
import { ExperimentService } from '../subgraphs/experiments/experiments/experiment-service.ts';
import { ExposureRecorder } from '../subgraphs/experiments/exposures/exposure-recorder.ts';
import { MetricTables } from '../subgraphs/experiments/metrics/metric-store.ts';
import { storedComparedVehicles } from '../subgraphs/experiments/settled/compared-vehicles.ts';
import { storedSettledVehicles } from '../subgraphs/experiments/settled/settled-vehicles.ts';
import { createFlagChanges } from '../subgraphs/flags/changes/change.ts';
import { FlagService } from '../subgraphs/flags/flags/flag-service.ts';
import { createSigner, generateSigningKey } from '../subgraphs/flags/signing/signing.ts';
import { createInProcessBus } from '../subgraphs/shared/feeds/bus.ts';
import { identityOf, silent, user } from '../subgraphs/shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../subgraphs/shared/testing/test-database.ts';
import { createTestMetricsStore, type TestMetricsStore } from '../subgraphs/shared/testing/test-metrics-store.ts';

const PLAN = { name: 'E', startDate: new Date(), sampleSize: 10, primaryMetric: 'minutes' };

let database: TestDatabase;
let metrics: TestMetricsStore;
let prisma: PrismaClient;
let flags: FlagService;
let experiments: ExperimentService;
let lifecycle: ExperimentLifecycle;
const writer = identityOf(user('WRITE'));

beforeAll(async () => {
  database = await createTestDatabase();
  ({ prisma } = database.database);
  flags = new FlagService(
    prisma,
    createFlagChanges(prisma, await createSigner(await generateSigningKey()), createInProcessBus(), silent),
  );
  experiments = new ExperimentService(prisma);
  metrics = await createTestMetricsStore();
  const tables = new MetricTables(metrics.store.client);
  const exposures = new ExposureRecorder(metrics.store.client, tables);
  const settled = storedSettledVehicles(metrics.store, tables, exposures);
  const compared = storedComparedVehicles(metrics.store, tables, exposures);
  const looks = new ExperimentLooks(prisma, { ...settled, ...compared });
  lifecycle = new ExperimentLifecycle(
    prisma,
    new ExperimentResults(looks, new FurtherLooks(prisma, settled, compared)),
  );
});

afterAll(async () => {
  await database.drop();
  await metrics.drop();
});

async function draftOnNewFlag(key: string): Promise<{ ruleId: string; id: string }> {
  await flags.createFlag(writer, {
    key,
    name: key,
    type: 'boolean',
    defaultValue: false,
    safetyLevel: 'Non-Critical',
    environment: 'staging',
    enabled: true,
  });
  const { flag } = await flags.createRule(
    writer,
    key,
    { type: 'percentage_rollout', conditions: { rollout_percentage: 10 } },
    null,
  );
  const { id } = await experiments.create(writer, { ...PLAN, flagKey: key });
  return { ruleId: flag.rules[0]?.id ?? '', id };
}

/** The code of a refusal, or null; what else goes wrong is thrown. */
async function outcome(work: Promise<unknown>): Promise<string | null> {
  try {
    await work;
    return null;
  } catch (error) {
    if (error instanceof FleetFlagError) return error.code;
    throw error;
  }
}

const raise = (ruleId: string, percentage: number, force = false) =>
  outcome(flags.updateRule(writer, ruleId, { conditions: { rollout_percentage: percentage } }, null, force));

test('a change of the percentage comes wholly before a start, whose share is then the new one, or is refused', async () => {
  for (let round = 0; round < 8; round += 1) {
    const { ruleId, id } = await draftOnNewFlag(`race_${round}`);
    const [refused] = await Promise.all([raise(ruleId, 50), lifecycle.start(writer, id)]);
    const { treatmentShare } = await prisma.experiment.findUniqueOrThrow({ where: { id } });
    expect([refused, Number(treatmentShare)]).toEqual(refused === null ? [null, 0.5] : ['CONFLICT', 0.1]);
    expect(await prisma.experimentDisturbance.count({ where: { experimentId: id } })).toBe(0);
  }
});

test('what is done to a flag and to its experiment at once waits for each other, and never for ever', async () => {
  const { ruleId, id } = await draftOnNewFlag('busy');
  await lifecycle.start(writer, id);
  const changes = Array.from({ length: 6 }, (_, index) => raise(ruleId, 20 + index, true));
  const endings = [lifecycle.complete(writer, id), lifecycle.cancel(writer, id, 'Enough')].map(outcome);
  expect(await Promise.all(changes)).toEqual(Array(6).fill(null));
  expect((await Promise.all(endings)).sort()).toEqual(['CONFLICT', null].sort());
  const rows = await prisma.auditLog.findMany({
    where: { flag: { key: 'busy' } },
    orderBy: { chainPosition: 'asc' },
    select: { action: true },
  });
  const actions = rows.map(({ action }) => action);
  const end = actions.findIndex((action) => action === 'COMPLETE_EXPERIMENT' || action === 'CANCEL_EXPERIMENT');
  // The draw of each change is noted with it.
  const noted = await prisma.experimentDisturbance.findMany({ where: { experimentId: id } });
  for (const { salt, threshold } of noted) expect([salt, (threshold ?? 0) >= 20_000]).toEqual(['busy', true]);
  // Noted are exactly the changes that came before the end.
  const before = actions.slice(0, end).filter((action) => action === 'UPDATE_RULE').length;
  expect(await prisma.experimentDisturbance.count({ where: { experimentId: id } })).toBe(before);
});
