import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { SUBGRAPH_NAMES } from '../core/wire/subgraph/subgraph.ts';
import { deleteEmbeddedPostgres } from '../subgraphs/shared/postgres/embedded/embedded-postgres.ts';
import { ProjectProcess } from './harness/process.ts';
import { boundAddress } from '../core/wire/network/http-server.ts';

test('wrong settings stop the start with one message that names all of them, and no secret', async () => {
  const start = new ProjectProcess(['start'], {
    PORT: '70000',
    DATABASE_URL: 'mysql://root:hunter2@localhost/x',
    FLEETFLAG_PLAYGROUND: 'maybe',
    FLEETFLAG_ADMIN_PASSWORD: 'short',
  });
  expect(await start.ended()).toBe(2);
  expect(start.stderr).toContain('4 settings are wrong');
  for (const name of ['PORT', 'DATABASE_URL', 'FLEETFLAG_PLAYGROUND', 'FLEETFLAG_ADMIN_PASSWORD'])
    expect(start.stderr).toContain(name);
  expect(start.stderr).not.toMatch(/hunter2|short"|at file:/);
  expect(start.stdout).toBe('');
});

test('a service of its own says what it needs', async () => {
  const start = new ProjectProcess(['service', 'flags'], {});
  expect(await start.ended()).toBe(2);
  for (const name of ['DATABASE_URL', 'REDIS_URL', 'FLEETFLAG_INTERNAL_SECRET']) expect(start.stderr).toContain(name);
});

test('an unknown role is answered with the roles that there are', async () => {
  const start = new ProjectProcess(['service', 'flagz'], {});
  expect(await start.ended()).toBe(2);
  // The entry point of an image answers with further roles, and in another form.
  for (const role of ['gateway', ...SUBGRAPH_NAMES]) expect(start.stderr).toContain(role);
});

test('a database that does not answer stops the start with one message', async () => {
  const start = new ProjectProcess(['service', 'vehicles'], {
    DATABASE_URL: 'postgresql://nobody:hunter2@127.0.0.1:1/none',
    REDIS_URL: 'redis://127.0.0.1:1',
    FLEETFLAG_INTERNAL_SECRET: 'x'.repeat(32),
    PORT: '0',
  });
  expect(await start.ended()).toBe(1);
  expect(start.stderr).toMatch(/FleetFlag cannot start: .*database/i);
  expect(start.stderr).not.toContain('hunter2');
});

test('a first start that finds its port taken says so, and has made nothing', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const dataDir = await mkdtemp(join(tmpdir(), 'fleetflag-taken-'));
  try {
    const start = new ProjectProcess(['start'], {
      FLEETFLAG_DATA_DIR: dataDir,
      PORT: String(boundAddress(taken).port),
    });
    expect(await start.ended()).toBe(1);
    expect(start.stderr).toMatch(/the port is in use.*set PORT/);
    expect([start.stdout, await readdir(dataDir)]).toEqual(['', []]);
  } finally {
    taken.close();
    await deleteEmbeddedPostgres(dataDir);
    await rm(dataDir, { recursive: true, force: true });
  }
});
