/**
 * Measures the preview of a rule's audience in a fleet of 200,000: FleetFlag's `previewAudience`, compared with calling
 * `evaluateFlag` for each vehicle (of a sample, scaled), with reading all rows through the ORM and evaluating them, and
 * with a count in plain SQL where SQL can express the rule. All run in one process on an embedded PostgreSQL.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { JsonValue, RuleType } from '../core/model.ts';
import { validateRuleInput } from '../core/validation/validate-rule.ts';
import type { PrismaClient } from '../prisma/generated/client.ts';
import { openDatabase } from '../subgraphs/shared/postgres/database.ts';
import { startEmbeddedPostgres } from '../subgraphs/shared/postgres/embedded/embedded-postgres.ts';
import { deployMigrations } from '../subgraphs/shared/postgres/schema/migrations.ts';
import { registeredFacts, withRegisteredFacts } from '../subgraphs/shared/between-subgraphs/vehicle-facts.ts';
import { AudienceService } from '../subgraphs/vehicles/audience/audience-service.ts';
import { reachOf } from '../subgraphs/vehicles/audience/audience.ts';
import { FleetReports } from '../subgraphs/vehicles/reports/fleet-reports.ts';

const VEHICLES = 200_000;
const SAMPLE = 2_000;
const ROUNDS = 5;
const FLAG = { key: 'lane_keep', type: 'boolean', environment: 'production' } as const;

interface Case {
  readonly name: string;
  readonly rule: { readonly type: RuleType; readonly conditions: JsonValue };
  /** An equivalent condition on `vehicles`; null when SQL cannot express it. */
  readonly sql: string | null;
}

const CASES: readonly Case[] = [
  { name: '30 % of all', rule: { type: 'percentage_rollout', conditions: { rollout_percentage: 30 } }, sql: null },
  {
    name: '30 % of 3 models from 2.4 on',
    rule: {
      type: 'percentage_rollout',
      conditions: { rollout_percentage: 30, models: ['Model 1', 'Model 2', 'Model 3'], sw_version: '>=2.4.0' },
    },
    sql: null,
  },
  {
    name: '2 models in the EU',
    rule: { type: 'vehicle_target', conditions: { models: ['Model 1', 'Model 2'], regions: ['EU'] } },
    sql: `model IN ('Model 1', 'Model 2') AND region = 'EU'`,
  },
];

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

async function timed(run: () => Promise<number>, rounds = ROUNDS): Promise<{ milliseconds: number; matched: number }> {
  let matched = await run();
  const samples: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    matched = await run();
    samples.push(performance.now() - start);
  }
  return { milliseconds: median(samples), matched };
}

async function fill(prisma: PrismaClient): Promise<void> {
  await prisma.$executeRaw`
    INSERT INTO vehicles (vin, model, sw_version, region, status, environment)
    SELECT 'KMH' || lpad((n * 7919::bigint % 1000000007)::text, 14, '0'), 'Model ' || n % 7, '2.' || n % 9 || '.' || n % 4, (ARRAY['EU', 'KR', 'NA', 'APAC'])[n % 4 + 1], 'online', 'production'
    FROM generate_series(1, ${VEHICLES}::int) n`;
  await prisma.$executeRaw`ANALYZE vehicles`;
  await prisma.flag.create({
    data: {
      key: FLAG.key,
      name: 'Lane keeping',
      type: FLAG.type,
      defaultValue: { value: false },
      safetyLevel: 'ASIL-B',
      environment: FLAG.environment,
    },
  });
}

async function compare(prisma: PrismaClient, { name, rule, sql }: Case): Promise<void> {
  const reaches = reachOf(FLAG, validateRuleInput(rule, FLAG.type, 'rule'));
  const audiences = new AudienceService(prisma);
  const delays = monitorEventLoopDelay({ resolution: 1 });
  delays.enable();
  const own = await timed(async () => (await audiences.preview(FLAG.key, rule)).matched);
  delays.disable();
  const rows = await timed(
    async () => (await prisma.vehicle.findMany()).filter((vehicle) => reaches(vehicle)).length,
    1,
  );
  const some = (await prisma.vehicle.findMany({ select: { vin: true }, take: SAMPLE })).map(({ vin }) => vin);
  const facts = registeredFacts(prisma);
  const single = await timed(async () => {
    let matched = 0;
    for (const vin of some) if (reaches(await withRegisteredFacts(facts, { vin }))) matched++;
    return matched;
  }, 1);
  const inSql =
    sql === null
      ? null
      : await timed(async () =>
          Number(
            (
              await prisma.$queryRawUnsafe<{ count: bigint }[]>(
                `SELECT count(*) AS count FROM vehicles WHERE environment = 'production' AND ${sql}`,
              )
            )[0]?.count,
          ),
        );
  if (rows.matched !== own.matched || (inSql !== null && inSql.matched !== own.matched))
    throw new Error(`${name}: the ways disagree`);

  const line = (way: string, milliseconds: number) =>
    console.log(`| ${name} | ${way} | ${milliseconds.toFixed(0)} | ${(milliseconds / own.milliseconds).toFixed(2)}× |`);
  line(
    `FleetFlag (${own.matched} matched; event loop held up ${(delays.max / 1e6).toFixed(0)} ms at most)`,
    own.milliseconds,
  );
  line('all rows through the ORM, evaluated', rows.milliseconds);
  line(`evaluateFlag for each vehicle (${SAMPLE}, scaled)`, single.milliseconds * (VEHICLES / SAMPLE));
  if (inSql !== null) line('count(*) in SQL: no lists, no sample', inSql.milliseconds);
}

/** Prints the table. Takes about a minute. */
export async function run(): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'fleetflag-bench-'));
  const server = await startEmbeddedPostgres({ dataDir, log: () => undefined });
  try {
    await deployMigrations({ url: server.url });
    const database = await openDatabase({ url: server.url });
    try {
      await fill(database.prisma);
      console.log(`\nThe audience of a rule in a fleet of ${VEHICLES}\n`);
      console.log('| rule | way | ms | to FleetFlag |');
      console.log('|---|---|---|---|');
      for (const each of CASES) await compare(database.prisma, each);
      const reports = new FleetReports(database.prisma);
      console.log(
        `\nfleet: ${(await timed(async () => (await reports.fleet()).total)).milliseconds.toFixed(0)} ms; rolloutProgress: ${(await timed(async () => (await reports.progress(FLAG.environment, 1, null)).total)).milliseconds.toFixed(0)} ms.`,
      );
    } finally {
      await database.close();
    }
  } finally {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}
