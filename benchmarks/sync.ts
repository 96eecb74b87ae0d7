/**
 * Measures 1,000 vehicles that sync at once: FleetFlag's snapshots, verified by one read for all, compared with the
 * obvious way, a query and a signature for each vehicle. Both use the same subgraph, in process, on an embedded
 * PostgreSQL.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PrismaPg } from '@prisma/adapter-pg';
import { pino } from 'pino';
import type { CallerIdentity } from '../core/access/caller.ts';
import { PrismaClient } from '../prisma/generated/client.ts';
import { createFlagChanges } from '../subgraphs/flags/changes/change.ts';
import { flagsResolvers } from '../subgraphs/flags/resolvers.ts';
import { FlagService } from '../subgraphs/flags/flags/flag-service.ts';
import { PositionSignatures } from '../subgraphs/flags/signing/position-signatures.ts';
import { createSigner, generateSigningKey, type Signer } from '../subgraphs/flags/signing/signing.ts';
import { EnvironmentSnapshots } from '../subgraphs/flags/sync/snapshots/snapshots.ts';
import { changesSince, livingSet } from '../subgraphs/flags/sync/sync-store.ts';
import { SyncService, type FlagSync } from '../subgraphs/flags/sync/sync.ts';
import { createInProcessBus } from '../subgraphs/shared/feeds/bus.ts';
import { startEmbeddedPostgres } from '../subgraphs/shared/postgres/embedded/embedded-postgres.ts';
import { deployMigrations } from '../subgraphs/shared/postgres/schema/migrations.ts';
import { connectInProcess } from '../subgraphs/shared/subgraph/in-process-connection.ts';
import { createInProcessStore } from '../subgraphs/shared/stores/key-value-store.ts';
import { createSubgraph } from '../subgraphs/shared/subgraph/subgraph.ts';

const VEHICLES = 1_000;
const FLAGS = 100;
const WARM_UP_ROUNDS = 2;
const ROUNDS = 5;
const SYNC =
  'query Sync($environment: Environment!, $since: Int) { flagSync(environment: $environment, since: $since) { environment revision full flags { key revision removed jws } proof } }';

type Way = 'snapshots' | 'query for each';
interface Row {
  readonly way: Way;
  readonly what: string;
  readonly milliseconds: number;
  readonly cpuSeconds: number;
  readonly statements: number;
  readonly answerBytes: number;
}

const logger = pino({ level: 'silent' });
const VEHICLE: CallerIdentity = {
  caller: { kind: 'vehicle', vin: 'KMHK281HGNU000001', environment: 'production' },
  origin: { ipAddress: null, userAgent: null, requestId: '00000000-0000-4000-8000-000000000000' },
};
const OPERATOR: CallerIdentity = {
  ...VEHICLE,
  caller: { kind: 'user', role: 'WRITE', userId: null, sessionKey: null },
};

/** The obvious way. */
const directly = (prisma: PrismaClient, signer: Signer) => ({
  async sync(environment: 'production', _partition: null, since: number): Promise<FlagSync> {
    const {
      deltas: all,
      position: { revision },
    } = await changesSince(prisma, environment, 0, true);
    const issuedAt = Math.floor(Date.now() / 1_000);
    const { set } = await livingSet(prisma, environment);
    const proof = await signer.proof({ environment, revision, issuedAt, set });
    const flags = all.filter((delta) => delta.revision > since && (since > 0 || !delta.removed));
    return {
      environment,
      revision,
      full: since === 0,
      flags,
      statement: async () => '',
      proof: async () => proof,
    };
  },
});

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

/** Fills an environment to its limit: 100 enabled flags, with rules. */
async function fill(service: FlagService): Promise<void> {
  for (let index = 0; index < FLAGS; index++) {
    const key = `feature_${index}`;
    await service.createFlag(OPERATOR, {
      key,
      name: key,
      type: 'boolean',
      defaultValue: false,
      safetyLevel: 'Non-Critical',
      environment: 'production',
      enabled: true,
    });
    await service.createRule(
      OPERATOR,
      key,
      {
        type: 'vehicle_target',
        conditions: { models: ['Ioniq 5', 'Ioniq 6'], sw_version: '>= 2.5.0', regions: ['EU', 'NA'] },
      },
      null,
    );
    await service.createRule(
      OPERATOR,
      key,
      { type: 'percentage_rollout', conditions: { rollout_percentage: index } },
      null,
    );
  }
}

async function measure(
  way: Way,
  prisma: PrismaClient,
  signer: Signer,
  counted: { statements: number },
  cases: readonly { what: string; since: number }[],
): Promise<Row[]> {
  const snapshots = new EnvironmentSnapshots({ prisma, store: createInProcessStore(), logger });
  const sync =
    way === 'snapshots' ? new SyncService(snapshots, new PositionSignatures(signer)) : directly(prisma, signer);
  const subgraph = await createSubgraph({
    name: 'flags',
    resolvers: flagsResolvers,
    services: () => ({ sync }),
    logger,
  });
  const connection = connectInProcess(subgraph, async () => true);
  const rows: Row[] = [];
  try {
    for (const { what, since } of cases) {
      const samples: { milliseconds: number; cpuSeconds: number; statements: number }[] = [];
      let answerBytes = 0;
      for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++) {
        const [cpu, statements, start] = [process.cpuUsage(), counted.statements, performance.now()];
        const answers = await Promise.all(
          Array.from({ length: VEHICLES }, () =>
            connection.execute({ query: SYNC, variables: { environment: 'PRODUCTION', since }, identity: VEHICLE }),
          ),
        );
        const milliseconds = performance.now() - start;
        const used = process.cpuUsage(cpu);
        const fault = answers.find(({ errors }) => errors !== undefined)?.errors?.[0];
        if (fault !== undefined) throw new Error(fault.message);
        answerBytes = JSON.stringify(answers[0]?.data).length;
        if (round >= WARM_UP_ROUNDS)
          samples.push({
            milliseconds,
            cpuSeconds: (used.user + used.system) / 1e6,
            statements: counted.statements - statements,
          });
      }
      const of = (member: 'milliseconds' | 'cpuSeconds' | 'statements') =>
        median(samples.map((sample) => sample[member]));
      rows.push({
        way,
        what,
        milliseconds: of('milliseconds'),
        cpuSeconds: of('cpuSeconds'),
        statements: of('statements'),
        answerBytes,
      });
    }
  } finally {
    snapshots.close();
    await connection.close();
  }
  return rows;
}

/** Prints the table. Takes about half a minute. */
export async function run(): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'fleetflag-bench-'));
  const server = await startEmbeddedPostgres({ dataDir, log: () => undefined });
  const counted = { statements: 0 };
  try {
    await deployMigrations({ url: server.url });
    const prisma = new PrismaClient({
      adapter: new PrismaPg({ connectionString: server.url, max: 10 }),
      log: [{ emit: 'event', level: 'query' }],
    });
    prisma.$on('query', () => counted.statements++);
    try {
      const signer = await createSigner(await generateSigningKey());
      await fill(new FlagService(prisma, createFlagChanges(prisma, signer, createInProcessBus(), logger)));
      const { revision } = (await changesSince(prisma, 'production', 0)).position;
      const cases = [
        { what: `everything (${FLAGS} flags)`, since: 0 },
        { what: 'the last 10 changes', since: revision - 10 },
        { what: 'nothing new', since: revision },
      ];
      const rows = [
        ...(await measure('query for each', prisma, signer, counted, cases)),
        ...(await measure('snapshots', prisma, signer, counted, cases)),
      ];
      console.log(`\nSync: ${VEHICLES} vehicles at once\n`);
      console.log('| way | each gets | bytes | until the last, ms | CPU s of this process | statements |');
      console.log('|---|---|---|---|---|---|');
      for (const row of rows) {
        const way =
          row.way === 'snapshots'
            ? 'FleetFlag: snapshots, one look for all'
            : 'a query and a signature for each vehicle';
        console.log(
          `| ${way} | ${row.what} | ${row.answerBytes} | ${row.milliseconds.toFixed(0)} | ${row.cpuSeconds.toFixed(2)} | ${row.statements} |`,
        );
      }
      for (const { what } of cases) {
        const [peer, own] = (['query for each', 'snapshots'] as const).map((way) =>
          rows.find((row) => row.way === way && row.what === what),
        );
        if (peer === undefined || own === undefined) continue;
        const times = (member: 'milliseconds' | 'cpuSeconds' | 'statements') =>
          `${(peer[member] / own[member]).toFixed(1)}×`;
        console.log(
          `\n${what}: a query for each takes ${times('statements')} the statements, ${times('milliseconds')} the time, ${times('cpuSeconds')} the CPU.`,
        );
      }
    } finally {
      await prisma.$disconnect();
    }
  } finally {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}
