/** Release policies as the database holds them. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../../../shared/testing/test-database.ts';
import { readReleasePolicy } from './release-policy.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
}, 60_000);
afterAll(() => database?.drop());

test('An environment has no policy at first, nor one without stages', async () => {
  const { prisma } = database.database;
  expect(await readReleasePolicy(prisma, 'production')).toBeNull();
  await prisma.releasePolicy.create({ data: { environment: 'production' } });
  expect(await readReleasePolicy(prisma, 'production')).toBeNull();
});

test('The policy of an environment has what its row holds', async () => {
  const { prisma } = database.database;
  const policy = {
    environment: 'staging' as const,
    stages: [
      { percentage: 0.125, soakMs: 60_000, minimumVehicles: 2 },
      { percentage: 100, soakMs: 0, minimumVehicles: 0 },
    ],
    canary: { vins: [], models: ['Ioniq 6'], regions: [] },
    safetyLevels: ['ASIL-B' as const],
    maximumFaultyVehicles: 7,
    maximumFaultyPercent: 0.1,
    guards: [
      {
        ...({ metric: 'range_km', worse: 'lower', action: 'hold' } as const),
        ...{ maxWorsePercent: null, bound: 250.5, confidenceLevel: 0.99, minimumVehicles: 20, silence: 60_000 },
      },
    ],
  };
  await prisma.releasePolicy.create({ data: policy });
  expect(await readReleasePolicy(prisma, 'staging')).toEqual(policy);
});
