/**
 * Every process of a distributed deployment is replaced, one by one, and the database is migrated, while people write
 * and read and vehicles are connected. No operation fails, and no vehicle is dropped: none is ever shown offline, none
 * misses a change.
 */
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { describeUnless } from '../core/testing/unless.ts';
import { deployMigrations } from '../subgraphs/shared/postgres/schema/migrations.ts';
import { Cluster, type Instance } from './faults/cluster.ts';
import { Api } from './harness/api.ts';
import { DISTRIBUTED, webSocketOf } from './harness/deployment.ts';
import { Fleet } from './harness/fleet.ts';
import { ROOT, eventually } from './harness/process.ts';

const VINS = Array.from({ length: 8 }, (_, n) => `KMHK281HGNU00000${n}`);
const WRITERS = 2;

/** A migration as a later version might bring it: a column for each of two tables in use, and an index. */
const MIGRATION = `
ALTER TABLE flags ADD COLUMN later_note TEXT;
ALTER TABLE vehicles ADD COLUMN later_note TEXT NOT NULL DEFAULT '';
CREATE INDEX idx_vehicles_later_note ON vehicles (later_note);
`;

interface Written {
  readonly updateFlag: { readonly flag: { readonly revision: number } };
}

describeUnless(DISTRIBUTED ? null : 'DATABASE_URL and REDIS_URL name no servers, so there may be no Redis to start')(
  'under constant load',
  () => {
    let folder: string;
    let cluster: Cluster;
    let admin: Api;
    let fleet: Fleet;
    let over = false;
    const failures: string[] = [];
    const counts = { writes: 0, reads: 0, moves: 0 };
    let longestMs = 0;
    let longestAwayMs = 0;
    let lastRevision = 0;
    let load: Promise<unknown>;
    let following: NodeJS.Timeout | undefined;

    /** Runs an operation; whatever is not its answer is a failure. */
    async function timed<T>(run: () => Promise<T>): Promise<T | null> {
      const begun = performance.now();
      try {
        return await run();
      } catch (error) {
        const { message, cause } = error as Error;
        failures.push(`${message} ${cause instanceof Error ? cause.message : ''}`.trim().slice(0, 500));
        return null;
      } finally {
        longestMs = Math.max(longestMs, performance.now() - begun);
      }
    }

    async function write(number: number): Promise<void> {
      const key = `rolling_${number}`;
      for (let value = 1; !over; value++) {
        const written = await timed(() =>
          admin.ok<Written>(
            'mutation ($key: String!, $value: JSON!) { updateFlag(key: $key, input: { defaultValue: $value }) { flag { revision } } }',
            { key, value },
          ),
        );
        if (written === null) continue;
        counts.writes += 1;
        lastRevision = Math.max(lastRevision, written.updateFlag.flag.revision);
        const seen = await timed(() =>
          admin.ok<{ flag: { defaultValue: number } }>('query ($key: String!) { flag(key: $key) { defaultValue } }', {
            key,
          }),
        );
        if (seen !== null && seen.flag.defaultValue !== value)
          failures.push(`${key} was written as ${value} and read as ${seen.flag.defaultValue}`);
      }
    }

    async function read(): Promise<void> {
      const queries = [
        '{ vehicles(first: 20) { nodes { vin status appliedRevision } totalCount } }',
        '{ auditLogs(first: 5) { nodes { id action user { name } } } }',
        '{ flags(first: 10) { nodes { key revision totalEvaluations history(first: 1) { nodes { id } } } } }',
        '{ fleet { total offline } }',
        '{ experiments(first: 5) { nodes { id } } }',
      ];
      for (let n = 0; !over; n++) {
        const answer = await timed(() => admin.ok<{ fleet?: { offline: number } }>(queries[n % queries.length] ?? ''));
        counts.reads += 1;
        if ((answer?.fleet?.offline ?? 0) > 0) failures.push('a vehicle is shown offline');
      }
    }

    const since = new Map<string, number>();
    /** Notes which vehicles are without a connection, and for how long. */
    function follow(): void {
      for (const [vin, agent] of fleet.agents) {
        const begun = since.get(vin);
        if (agent.status().connected) since.delete(vin);
        else if (begun !== undefined) longestAwayMs = Math.max(longestAwayMs, performance.now() - begun);
        else {
          counts.moves += 1;
          since.set(vin, performance.now());
        }
      }
    }

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'fleetflag-rolling-'));
      cluster = await Cluster.start(folder, undefined, {
        isDirect: true,
        environment: { FLEETFLAG_SHUTDOWN_DELAY_SECONDS: '1' },
      });
      admin = await Api.admin({ url: cluster.url, wsUrl: webSocketOf(cluster.url) });
      for (let number = 0; number < WRITERS; number++)
        await admin.ok('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', {
          input: {
            key: `rolling_${number}`,
            name: 'Rolling',
            type: 'NUMBER',
            defaultValue: 0,
            safetyLevel: 'NON_CRITICAL',
            environment: 'PRODUCTION',
          },
        });
      fleet = await Fleet.start(admin, VINS);
      await eventually(async () => {
        const { fleet: seen } = await admin.ok<{ fleet: { online: number } }>('{ fleet { online } }');
        return seen.online === VINS.length;
      }, 'all vehicles are online');
      load = Promise.all([...Array.from({ length: WRITERS }, (_, number) => write(number)), read()]);
      following = setInterval(follow, 20);
      await eventually(() => counts.writes > 10);
    }, 180_000);

    afterAll(async () => {
      over = true;
      await load;
      clearInterval(following);
      await fleet?.remove();
      await cluster?.remove();
      await rm(folder, { recursive: true, force: true });
    }, 60_000);

    /**
     * Replaces a process as an operator does it: the relay sees that it is not ready, and leads to it when it is again.
     */
    async function replace(instance: Instance): Promise<void> {
      const isReady = async () =>
        fetch(`http://127.0.0.1:${instance.port}/health/ready`).then(
          ({ ok }) => ok,
          () => false,
        );
      instance.signal('SIGTERM');
      await eventually(async () => !(await isReady()), `${instance.name} is no longer ready`);
      instance.isInTurn = false;
      expect([instance.name, await instance.process.ended()]).toEqual([instance.name, 0]);
      await instance.start();
      await eventually(isReady, `${instance.name} is ready`);
      instance.isInTurn = true;
      const { writes, reads } = counts;
      await eventually(() => counts.writes > writes + 5 && counts.reads > reads + 5, 'the load goes on');
    }

    test('a migration is applied', async () => {
      const schemaFolder = join(folder, 'prisma');
      const place = join(schemaFolder, 'migrations', '29991231000000_later');
      await mkdir(schemaFolder);
      await cp(join(ROOT, 'prisma/schema.prisma'), join(schemaFolder, 'schema.prisma'));
      await cp(join(ROOT, 'prisma/migrations'), join(schemaFolder, 'migrations'), { recursive: true });
      await mkdir(place);
      await writeFile(join(place, 'migration.sql'), MIGRATION);
      const { writes } = counts;
      expect(await deployMigrations({ url: cluster.postgres.url, schemaFolder })).toEqual(['29991231000000_later']);
      await eventually(() => counts.writes > writes + 5);
      expect(failures).toEqual([]);
    }, 60_000);

    test.each(['flags', 'vehicles', 'experiments', 'audit', 'gateway'])(
      'both processes of the role %s are replaced',
      async (role) => {
        for (const instance of cluster.of(role)) await replace(instance);
        expect(failures).toEqual([]);
      },
      180_000,
    );

    test('every vehicle has come back each time, and has the last change', async () => {
      over = true;
      await load;
      await eventually(
        () => [...fleet.agents.values()].every((agent) => agent.status().revision === lastRevision),
        'every vehicle has the last revision',
      );
      expect(failures).toEqual([]);
      // Otherwise nothing has happened to them.
      expect(counts.moves).toBeGreaterThanOrEqual(VINS.length);
      expect(longestAwayMs).toBeLessThan(30_000);
      expect(longestMs).toBeLessThan(10_000);
      process.stdout.write(`${JSON.stringify({ ...counts, longestMs, longestAwayMs })}\n`);
    }, 60_000);
  },
);
