import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';
import type { Environment } from '../../../core/model.ts';
import { eventually } from '../../../core/testing/eventually.ts';
import { changesInTurn } from './change-lanes.ts';
import { refusal } from '../../shared/testing/asking.ts';
import { FlagsUnderTest, type FlagJson } from '../testing/flags-under-test.ts';

const KILL =
  'mutation ($key: String!) { killSwitch(flagKey: $key, reason: "Fault in the field") { flag { killed revision } } }';
const HALT = 'mutation ($key: String!) { haltRelease(flagKey: $key, reason: "smoke") { applied } }';
const PROMOTE =
  'mutation ($key: String!) { promoteRelease(flagKey: $key, percentage: 50, reason: "calm") { applied } }';
const SCHEDULE =
  'mutation ($key: String!, $id: ID!) { scheduleRollout(flagKey: $key, ruleId: $id, steps: [{ percentage: 50, after: "P1D" }]) { applied } }';
const REJECT = 'mutation ($id: ID!) { rejectChangeRequest(id: $id, comment: "No.") { status } }';
const RULE =
  'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { flag { revision killed rules { id } } } }';
const UPDATE_RULE =
  'mutation ($id: ID!, $input: UpdateRuleInput!) { updateRule(id: $id, input: $input) { flag { killed } } }';
const CHANGES =
  'subscription ($environment: Environment!) { flagChanges(environment: $environment) { revision flag { key killed } } }';
const EU = { type: 'VEHICLE_TARGET', conditions: { regions: ['EU'] } };

let under: FlagsUnderTest;
let flag: FlagJson;
/** The connections and locks that a test holds. */
let held: { release: () => Promise<unknown> }[] = [];

beforeAll(async () => {
  under = await FlagsUnderTest.start({ appliesRollouts: false });
  flag = await under.create({ enabled: true });
});
afterEach(async () => {
  await Promise.all(held.map(({ release }) => release()));
  held = [];
});
afterAll(() => under.remove());

/** Takes one of the subgraph's ordinary connections. */
async function holdConnection(): Promise<void> {
  let release!: () => void;
  const released = new Promise<void>((resolve) => (release = resolve));
  await new Promise<void>((begun) => {
    const over = under.prisma.$transaction(
      async (tx) => {
        await tx.$queryRaw`SELECT 1`;
        begun();
        await released;
      },
      { maxWait: 5_000, timeout: 60_000 },
    );
    held.push({ release: () => (release(), over) });
  });
}

/** Opens a session at the server that locks the environment's row and then idles. */
async function holdEnvironment(environment: Environment, application: string): Promise<Client> {
  const client = new Client({ connectionString: under.database.url, application_name: application });
  client.on('error', () => undefined);
  await client.connect();
  held.push({ release: () => client.end().catch(() => undefined) });
  await client.query('BEGIN');
  await client.query('UPDATE environments SET updated_at = updated_at WHERE name = $1', [environment]);
  return client;
}

/** Counts the sessions that wait for a lock. */
async function waiting(): Promise<number> {
  const [row] = await under.database.database.lane('delivery').$queryRaw<{ count: bigint }[]>`
    SELECT count(*) AS count FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
  return Number(row?.count ?? 0);
}

describe('a kill switch', () => {
  test('succeeds and reaches vehicles while the rest of the subgraph has no connection left', async () => {
    const events = under.connection.subscribe({
      query: CHANGES,
      variables: { environment: 'STAGING' },
      identity: {
        caller: { kind: 'vehicle', vin: null, environment: 'staging' },
        origin: { ipAddress: null, userAgent: null, requestId: '' },
      },
    });
    await events.established;
    const idle = { type: 'KILL_SWITCH', enabled: false, conditions: { force_disabled: true, reason: 'Brakes' } };
    const others = [
      await under.create({ enabled: true }),
      await under.create({ enabled: true }),
      await under.create({ enabled: true }),
    ];
    const [enabled, rewritten] = await Promise.all(
      others
        .slice(1)
        .map(({ key }) =>
          under
            .ok<{ createRule: { flag: FlagJson } }>(RULE, { key, input: idle })
            .then(({ createRule }) => createRule.flag.rules[0]!.id),
        ),
    );
    for (let n = 0; n < 5; n++) await holdConnection();
    let ordinary = 'waits';
    const rule = under.ok(RULE, { key: flag.key, input: EU }).then(() => (ordinary = 'done'));
    const { killSwitch } = await under.ok<{ killSwitch: { flag: FlagJson } }>(KILL, { key: flag.key });
    expect(killSwitch.flag.killed).toBe(true);
    for await (const { data } of events)
      if ((data as { flagChanges: { flag: { killed: boolean } } }).flagChanges.flag.killed) break;
    // The same, by the other mutations that can pull a kill switch.
    const { createRule } = await under.ok<{ createRule: { flag: FlagJson } }>(RULE, {
      key: others[0]!.key,
      input: { ...idle, enabled: true },
    });
    expect(createRule.flag.killed).toBe(true);
    for (const [id, input] of [
      [enabled, { enabled: true }],
      [rewritten, { enabled: true, conditions: idle.conditions }],
    ]) {
      const { updateRule } = await under.ok<{ updateRule: { flag: FlagJson } }>(UPDATE_RULE, { id, input });
      expect(updateRule.flag.killed).toBe(true);
    }
    expect(ordinary).toBe('waits');
    await Promise.all(held.map(({ release }) => release()));
    await rule;
  });

  test('ends a FleetFlag transaction that has held a needed lock for too long, and nothing of that transaction remains', async () => {
    const fresh = await under.create({ enabled: true });
    const stuck = await holdEnvironment('staging', 'fleetflag');
    await stuck.query(`UPDATE flags SET name = 'Half done' WHERE key = $1`, [fresh.key]);
    const { killSwitch } = await under.ok<{ killSwitch: { flag: FlagJson } }>(KILL, { key: fresh.key });
    expect(killSwitch.flag.killed).toBe(true);
    await expect(stuck.query('COMMIT')).rejects.toThrow();
    const row = await under.prisma.flag.findUniqueOrThrow({ where: { key: fresh.key } });
    expect(row.name).toBe('A flag');
  });

  test('ends such a transaction although as many kill switches wait for it as the lane has connections, and more', async () => {
    const keys = await Promise.all(Array.from({ length: 4 }, async () => (await under.create({ enabled: true })).key));
    const stuck = await holdEnvironment('staging', 'fleetflag');
    const killed = await Promise.all(keys.map((key) => under.ok<{ killSwitch: { flag: FlagJson } }>(KILL, { key })));
    expect(killed.map(({ killSwitch }) => killSwitch.flag.killed)).toEqual(keys.map(() => true));
    await expect(stuck.query('COMMIT')).rejects.toThrow();
  });

  test('passes all halts of releases that wait', async () => {
    const policy = { environment: 'development', stages: [{ percentage: 1, soakMs: 60_000, minimumVehicles: 0 }] };
    await under.prisma.releasePolicy.create({ data: policy });
    const keys = await Promise.all(
      Array.from({ length: 5 }, async () => (await under.create({ enabled: true, environment: 'DEVELOPMENT' })).key),
    );
    const operator = await holdEnvironment('development', 'psql');
    const ended: string[] = [];
    const halts = keys.map((key) => under.ok(HALT, { key }).then(() => ended.push('halt')));
    await eventually(async () => (await waiting()) > 0);
    await under.ok(KILL, { key: (await under.create({ enabled: true })).key });
    expect(ended).toEqual([]);
    await operator.query('COMMIT');
    await Promise.all(halts);
    await under.prisma.releasePolicy.deleteMany();
  });

  test('ends such a transaction for the halt of a release, too', async () => {
    const policy = { environment: 'development', stages: [{ percentage: 1, soakMs: 60_000, minimumVehicles: 0 }] };
    await under.prisma.releasePolicy.create({ data: policy });
    const { key } = await under.create({ enabled: true, environment: 'DEVELOPMENT' });
    const stuck = await holdEnvironment('development', 'fleetflag');
    await under.ok(HALT, { key });
    await expect(stuck.query('COMMIT')).rejects.toThrow();
    expect(await under.prisma.release.findFirst({ where: { flag: { key } } })).toMatchObject({ status: 'halted' });
    await under.prisma.releasePolicy.deleteMany();
  });

  test('ends no session of other programs', async () => {
    const fresh = await under.create({ enabled: true });
    const ours = await under.create({ enabled: true, environment: 'DEVELOPMENT' });
    const operator = await holdEnvironment('staging', 'psql');
    let killed = false;
    const kill = under.ok(KILL, { key: fresh.key }).then(() => (killed = true));
    await eventually(async () => (await waiting()) === 1);
    // A session of FleetFlag that was in the way later has been ended by now.
    await holdEnvironment('development', 'fleetflag');
    await under.ok(KILL, { key: ours.key });
    expect(killed).toBe(false);
    await operator.query('COMMIT');
    await kill;
  });
});

describe('changes', () => {
  test('that arrive all at once are queued: all of them are made, and other queries still reach the database', async () => {
    const many = await under.create();
    const before = await under.revision();
    const holder = await holdEnvironment('staging', 'psql');
    const rules = Array.from({ length: 30 }, (_, priority) =>
      under.ok<{ createRule: { flag: FlagJson } }>(RULE, { key: many.key, input: { ...EU, priority } }),
    );
    await eventually(async () => (await waiting()) === 2);
    // A query gets a connection, though all of them wait.
    expect(await under.ok('query ($key: String!) { flag(key: $key) { rules { id } } }', { key: many.key })).toEqual({
      flag: { rules: [] },
    });
    await holder.query('COMMIT');
    const revisions = (await Promise.all(rules))
      .map(({ createRule }) => createRule.flag.revision)
      .sort((a, b) => a - b);
    expect(revisions).toEqual(Array.from({ length: 30 }, (_, index) => before + 1 + index));
  });

  test.each([
    ['promotions', PROMOTE],
    ['scheduled rollouts', SCHEDULE],
    ['rejections', REJECT],
  ])('are queued so, too, where they are %s', async (_kind, operation) => {
    const holder = new Client({ connectionString: under.database.url, application_name: 'psql' });
    await holder.connect();
    held.push({ release: () => holder.end() });
    await holder.query('BEGIN');
    await holder.query('LOCK TABLE flags, change_requests IN EXCLUSIVE MODE');
    const variables = { key: flag.key, id: flag.id };
    const caller = operation === REJECT ? under.reviewer : under.writer;
    const refused = Array.from({ length: 30 }, () => under.ask(caller, operation, variables));
    await eventually(async () => (await waiting()) >= 2);
    expect(await under.ok('query ($key: String!) { flag(key: $key) { id } }', { key: flag.key })).toEqual({
      flag: { id: flag.id },
    });
    expect(await waiting()).toBe(2);
    await holder.query('COMMIT');
    // Nothing is there that they could change, which each finds when its turn comes.
    for (const answer of await Promise.all(refused))
      expect(refusal(answer)?.code).toMatch(/^(CONFLICT|NOT_FOUND|BAD_USER_INPUT)$/);
  });

  test("beyond the queue's limit are refused with the seconds to wait, and leave nothing behind", async () => {
    let begun = 0;
    const never = new Promise<never>(() => undefined);
    const database = changesInTurn(
      { $transaction: () => ((begun += 1), never) },
      { running: 1, waiting: 1, waitMs: 60_000 },
    );
    const change = () => database.$transaction(async () => undefined, { maxWait: 1, timeout: 1 });
    void change();
    const [second, third] = [change(), change()];
    await expect(third).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE', details: { retryAfter: 2 } });
    void second.catch(() => undefined);
    expect(begun).toBe(1);
  });
});
