/** The control plane with a streaming replica: what is read where, while the replica lags, is killed and comes back. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { eventually } from '../core/testing/eventually.ts';
import { describeUnless } from '../core/testing/unless.ts';
import { readPosition, readReplicaState } from '../subgraphs/shared/postgres/log-positions.ts';
import { Standby, debianPrograms } from '../subgraphs/shared/testing/standby.ts';
import { watchDatabase, type WatchedDatabase } from '../subgraphs/shared/testing/watched-database.ts';
import { EveryCaller } from './testing/every-caller.ts';

const describeWithStandby = describeUnless(
  process.env['TEST_DATABASE_URL'] !== undefined
    ? 'a server may refuse replication (pg_hba.conf); the embedded one is copied'
    : debianPrograms() === null
      ? 'PostgreSQL 15 of Debian is not installed'
      : null,
);

type Data = Record<string, unknown>;
type Who = 'ADMIN' | 'WRITE' | 'READ' | 'SAFETY';

/**
 * Each list that may lag: its query, and its statement. The search asks for a number that no revision governs: other
 * searches are answered by the gateway, from answers that are as new as the database.
 */
const LISTS: readonly (readonly [name: string, query: string, statement: RegExp])[] = [
  ['vehicles', '{ vehicles(first: 5) { nodes { vin } totalCount } }', /SELECT vin FROM vehicles WHERE/],
  ['the fleet', '{ fleet { total } }', /GROUP BY GROUPING SETS/],
  ['experiments', '{ experiments(first: 5) { nodes { id } totalCount } }', /FROM "public"."experiments"/],
  ['the audit log', '{ auditLogs(first: 5) { nodes { id } totalCount } }', /FROM audit_logs WHERE true/],
  [
    'the history of a flag',
    '{ flag(key: "lane") { history(first: 3) { nodes { id } } } }',
    /FROM audit_logs WHERE flag_id/,
  ],
  [
    'a search',
    '{ flags(first: 5, filter: { search: "lane" }) { nodes { key totalEvaluations } } }',
    /websearch_to_tsquery/,
  ],
];

describeWithStandby('with a replica', () => {
  let every: EveryCaller;
  let primary: WatchedDatabase;
  let replica: WatchedDatabase;
  let standby: Standby;

  beforeAll(async () => {
    every = await EveryCaller.start(async (url, lifecycle) => {
      standby = await Standby.start(url);
      lifecycle.onClose(() => standby.remove());
      primary = await watchDatabase(url);
      lifecycle.onClose(() => primary.close());
      replica = await watchDatabase(standby.url);
      lifecycle.onClose(() => replica.close());
      const { prisma } = primary;
      return {
        prisma,
        replicas: [{ name: 'standby', prisma: replica.prisma, readState: () => readReplicaState(replica.prisma) }],
        position: () => readPosition(prisma),
        lane: () => prisma,
        ping: async () => undefined,
        close: async () => undefined,
      };
    });
    await done(
      'WRITE',
      'mutation { createFlag(input: { key: "lane", name: "Lane keeping", type: NUMBER, defaultValue: 0, safetyLevel: NON_CRITICAL, environment: PRODUCTION }) { applied } }',
    );
    await atReplica();
  }, 120_000);
  afterAll(() => every?.close());

  async function done(who: Who, query: string): Promise<Data> {
    const { headers } = await every.as(who);
    const response = await fetch(every.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ query }),
    });
    const answer = (await response.json()) as { data?: Data };
    expect(answer).not.toHaveProperty('errors');
    return answer.data ?? {};
  }

  const count = ({ statements }: WatchedDatabase, pattern: RegExp) =>
    statements.filter(({ query }) => pattern.test(query)).length;

  /** Runs `ask` and gives how many statements it has cost at each server. */
  async function statementsOf(pattern: RegExp, ask: () => Promise<unknown>) {
    const before = { primary: count(primary, pattern), replica: count(replica, pattern) };
    await ask();
    return {
      primary: count(primary, pattern) - before.primary,
      replica: count(replica, pattern) - before.replica,
    };
  }

  const isAtReplica = async (who: Who) => {
    const { replica: there } = await statementsOf(/GROUPING SETS/, () => done(who, '{ fleet { total } }'));
    return there === 1;
  };

  /** Waits until lists are read at the replica. */
  async function atReplica(who: Who = 'READ'): Promise<void> {
    await eventually(() => isAtReplica(who), 'lists are read at the replica');
  }

  test.each(LISTS)('%s is read at the replica, and not at the primary', async (_name, query, statement) => {
    await eventually(async () => {
      const { primary: here, replica: there } = await statementsOf(statement, () => done('READ', query));
      // A caller who has just seen the primary, in the test before, may have to wait for the replica.
      return there > 0 && here === 0;
    });
  });

  test('who writes finds it at once though the replica lags; who has seen less is served by the replica', async () => {
    await atReplica();
    await atReplica('SAFETY');
    await standby.pause();
    try {
      await done(
        'WRITE',
        'mutation { registerVehicles(input: [{ vin: "KMHK281HGNU100001", model: "Ioniq 9", swVersion: "2.5.0", region: "EU" }]) { vin } }',
      );
      const list = '{ vehicles(first: 50, filter: { model: "Ioniq 9" }) { nodes { vin } totalCount } }';
      expect(await done('WRITE', list)).toEqual({
        vehicles: { nodes: [{ vin: 'KMHK281HGNU100001' }], totalCount: 1 },
      });
      expect(await done('WRITE', '{ auditLogs(first: 1) { nodes { action } } }')).toEqual({
        auditLogs: { nodes: [{ action: 'REGISTER_VEHICLES' }] },
      });
      // An account that has asked for nothing since: its lists may be a moment old.
      const { replica: there } = await statementsOf(/GROUPING SETS/, () => done('SAFETY', '{ fleet { total } }'));
      expect(there).toBe(1);
      // An account that has seen the vehicle finds it in every list from then on.
      expect(await done('READ', '{ vehicle(vin: "KMHK281HGNU100001") { model } }')).toEqual({
        vehicle: { model: 'Ioniq 9' },
      });
      expect(await done('READ', list)).toMatchObject({ vehicles: { totalCount: 1 } });
    } finally {
      await standby.resume();
    }
    await atReplica('WRITE');
  });

  test('nobody sees a revision go back, however the replica stops and goes on', async () => {
    const ways = [
      '{ flags(first: 5, filter: { search: "lane" }) { nodes { revision defaultValue totalEvaluations } } }',
      '{ flag(key: "lane") { revision defaultValue } }',
    ];
    interface Seen {
      readonly revision: number;
      readonly defaultValue: number;
    }
    let over = false;
    const reader = async (who: Who) => {
      const seen: Seen[] = [];
      for (let n = 0; !over; n++) {
        const answer = await done(who, ways[n % 2] ?? '');
        const { flag, flags } = answer as { flag?: Seen; flags?: { nodes: Seen[] } };
        seen.push(flag ?? flags?.nodes[0] ?? { revision: -1, defaultValue: -1 });
      }
      return seen;
    };
    const searchesBefore = count(replica, /websearch_to_tsquery/);
    const readers = [reader('READ'), reader('SAFETY'), reader('WRITE')];
    for (let value = 1; value <= 30; value++) {
      if (value % 10 === 3) await standby.pause();
      if (value % 10 === 8) await standby.resume();
      await done('WRITE', `mutation { updateFlag(key: "lane", input: { defaultValue: ${value} }) { applied } }`);
      expect(await done('WRITE', ways[0] ?? '')).toMatchObject({ flags: { nodes: [{ defaultValue: value }] } });
    }
    over = true;
    for (const seen of await Promise.all(readers)) {
      const revisions = seen.map(({ revision }) => revision);
      expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
      expect(Math.min(...revisions)).toBeGreaterThan(0);
    }
    expect(count(replica, /websearch_to_tsquery/)).toBeGreaterThan(searchesBefore);
  }, 120_000);

  test('when the replica is killed no read fails, and it is read again when it is back', async () => {
    await atReplica();
    let over = false;
    let reads = 0;
    const readers = (['READ', 'SAFETY'] as const).map(async (who) => {
      for (let n = 0; !over; n++) {
        await done(who, LISTS[n % LISTS.length]?.[1] ?? '');
        reads += 1;
      }
    });
    await eventually(() => reads > 20);
    await standby.kill();
    const before = reads;
    await eventually(() => reads > before + 20);
    await standby.startAgain();
    await atReplica('ADMIN');
    over = true;
    await Promise.all(readers);
  }, 120_000);
});
