/** The answers of `/health/ready` to a load balancer, from the start of a process on and while its database is down. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { testUnless } from '../core/testing/unless.ts';
import { Api } from './harness/api.ts';
import { DISTRIBUTED, Deployment } from './harness/deployment.ts';
import { KillablePostgres } from './harness/killable-stores.ts';
import { eventually } from './harness/process.ts';

let database: KillablePostgres;
let deployment: Deployment;

beforeAll(async () => {
  database = await KillablePostgres.start();
  deployment = await Deployment.start(DISTRIBUTED ? {} : { DATABASE_URL: database.url }, async (settings) => ({
    ...settings,
    DATABASE_URL: database.url,
  }));
}, 120_000);
afterAll(async () => {
  await deployment?.remove();
  await database?.remove();
}, 60_000);

/** Gives the status of `/health/ready`; null where nothing listens. */
async function ready(): Promise<number | null> {
  try {
    return (await fetch(`${deployment.url}/health/ready`)).status;
  } catch {
    return null;
  }
}

test('a process is not ready before its stores and its schema answer, and can do everything from then on', async () => {
  await deployment.down();
  const seen: (number | null)[] = [];
  const up = deployment.up();
  await eventually(async () => {
    seen.push(await ready());
    return seen.at(-1) === 200;
  }, 'it is ready');
  // From this moment on, a load balancer would send requests.
  expect(await (await Api.admin(deployment)).ok('{ flags { totalCount } }')).toEqual({ flags: { totalCount: 0 } });
  await up;
  expect(seen[0]).toBeNull();
  expect(new Set(seen)).not.toContain(404);
});

test('a process is not ready while PostgreSQL is down, lives on, and is ready again by itself', async () => {
  expect(await ready()).toBe(200);
  database.proxy.sever();
  try {
    await eventually(async () => (await ready()) === 503, 'it is not ready');
    expect((await fetch(`${deployment.url}/health/live`)).status).toBe(200);
  } finally {
    database.proxy.restore();
  }
  await eventually(async () => (await ready()) === 200, 'it is ready again');
});

testUnless(DISTRIBUTED ? null : 'DATABASE_URL and REDIS_URL name no servers, so no role is a process of its own')(
  'a role whose database is silent ends within its timeout on SIGTERM',
  async () => {
    const vehicles = deployment.processes.find(({ args }) => args[1] === 'vehicles');
    if (vehicles === undefined) throw new Error('There is no process of the vehicles subgraph.');
    const admin = await Api.admin(deployment);
    database.proxy.freeze();
    try {
      // Statements under way keep their connections from closing.
      const asked = Promise.allSettled([admin.ask('{ fleet { total } }'), admin.ask('{ vehicles { totalCount } }')]);
      await eventually(async () => (await ready()) === 503, 'it waits for the database');
      expect(await vehicles.stop()).toBe(1);
      expect(vehicles.stderr).toContain('could not stop in order: it has not ended within 25 s');
      await asked;
    } finally {
      database.proxy.restore();
    }
    await deployment.restart('vehicles');
  },
  90_000,
);
