import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { appendAudit } from '../subgraphs/shared/audit/audit-log.ts';
import { searchAuditLog } from '../subgraphs/audit/log/audit-log-store.ts';
import { listUsers } from '../subgraphs/audit/accounts/user-store.ts';
import { searchExperiments } from '../subgraphs/experiments/experiments/experiment-store.ts';
import { pageOf, type Page } from '../core/wire/api/pagination.ts';
import { identityOf, user } from '../subgraphs/shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../subgraphs/shared/testing/test-database.ts';
import { searchVehicles } from '../subgraphs/vehicles/search/vehicle-search.ts';
import { Prisma, type PrismaClient } from '../prisma/generated/client.ts';

const ROWS = 23;

let database: TestDatabase;
let prisma: PrismaClient;

beforeAll(async () => {
  database = await createTestDatabase();
  ({ prisma } = database.database);
  // Two rows at a time have the same time, so that their ids decide the order.
  const at = (n: number) => new Date(1_700_000_000_000 + Math.floor(n / 2));
  const numbers = Array.from({ length: ROWS }, (_, n) => n);
  await prisma.user.createMany({
    data: numbers.map((n) => ({
      email: `${n}@example.com`,
      name: 'User',
      passwordHash: '-',
      role: 'READ',
      createdAt: at(n),
    })),
  });
  await prisma.vehicle.createMany({
    data: numbers.map((n) => ({
      vin: `KMHK281HGNU0000${n + 10}`,
      model: 'Kona',
      swVersion: '2.5.0',
      region: 'EU',
      status: 'offline',
    })),
  });
  const flag = await prisma.flag.create({
    data: {
      key: 'a_flag',
      name: 'A flag',
      type: 'boolean',
      defaultValue: { value: false },
      safetyLevel: 'Non-Critical',
      environment: 'staging',
      signedDefinition: 'a.b.c',
    },
  });
  await prisma.experiment.createMany({
    data: numbers.map((n) => ({
      flagId: flag.id,
      name: `Experiment ${n}`,
      status: 'draft',
      primaryMetric: 'metric',
      startDate: at(n),
      sampleSize: 100,
      createdAt: at(n),
    })),
  });
  await prisma.$transaction(async (tx) => {
    for (const n of numbers) await appendAudit(tx, identityOf(user('READ')), { action: 'SIGN_IN', after: n });
  });
});
afterAll(() => database.drop());

type List = (page: Page) => Promise<{ items: string[]; more: boolean }>;
const idsOf = (rows: readonly { id: string }[]) => rows.map(({ id }) => id);
const LISTS: Record<string, List> = {
  users: async (page) =>
    listUsers(prisma, { search: null, role: null, isActive: null }, page).then(({ users, more }) => ({
      items: idsOf(users),
      more,
    })),
  'entries of the audit log': async (page) =>
    searchAuditLog(prisma, { action: 'SIGN_IN' }, page).then(({ entries, more }) => ({ items: idsOf(entries), more })),
  experiments: async (page) =>
    searchExperiments(prisma, {}, page).then(({ experiments, more }) => ({ items: idsOf(experiments), more })),
  vehicles: async (page) => pageOf(await searchVehicles(prisma, Prisma.sql`TRUE`, page), page),
};

async function walk(list: List, limit: number, backwards: boolean): Promise<string[]> {
  const seen: string[] = [];
  for (let cursor: string | null = null; ;) {
    const { items, more }: Awaited<ReturnType<List>> = await list({ limit, cursor, backwards });
    expect(items.length).toBeLessThanOrEqual(limit);
    if (backwards) seen.unshift(...items);
    else seen.push(...items);
    cursor = (backwards ? items[0] : items.at(-1)) ?? null;
    if (!more) return seen;
  }
}

test.each(Object.keys(LISTS))(
  'the pages of %s are the same list forwards and backwards, whatever their size',
  async (name) => {
    const list = LISTS[name]!;
    const all = await walk(list, 100, false);
    expect(new Set(all).size).toBe(ROWS);
    for (const size of [1, 2, 7, ROWS - 1, ROWS, ROWS + 1]) {
      expect(await walk(list, size, false)).toEqual(all);
      expect(await walk(list, size, true)).toEqual(all);
    }
  },
);

test('an invented cursor of the audit log ends the list in both directions', async () => {
  for (const backwards of [true, false])
    expect(await searchAuditLog(prisma, {}, { limit: 5, cursor: randomUUID(), backwards })).toEqual({
      entries: [],
      more: false,
    });
});
