/**
 * Measures what 5,000 flags over 60 models cost: their import; for the vehicles of one model, in comparison with an
 * environment that has only the 100 flags of these vehicles, a change on its way to their stream, 1,000 syncs at once,
 * the dashboard's page and `evaluateFlags`, all on an embedded PostgreSQL in this process; and the memory of a flags
 * instance of its own that holds them.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { Caller, CallerIdentity } from '../core/access/caller.ts';
import { createIdentityTokens } from '../core/credentials/identity-token.ts';
import type { Environment } from '../core/model.ts';
import type { FlagEntry } from '../core/wire/flag-files/environment-file.ts';
import type { SubgraphConnection } from '../core/wire/subgraph/subgraph.ts';
import { ProjectProcess } from '../e2e/harness/process.ts';
import { connectRemote } from '../gateway/composition/remote-subgraph.ts';
import type { PrismaClient } from '../prisma/generated/client.ts';
import { createFlagChanges } from '../subgraphs/flags/changes/change.ts';
import { ImportService, planImport } from '../subgraphs/flags/import-export/import-service.ts';
import { createSigner, generateSigningKey, type Signer } from '../subgraphs/flags/signing/signing.ts';
import { startFlags } from '../subgraphs/flags/subgraph.ts';
import { createInProcessBus } from '../subgraphs/shared/feeds/bus.ts';
import { openDatabase } from '../subgraphs/shared/postgres/database.ts';
import { startEmbeddedPostgres } from '../subgraphs/shared/postgres/embedded/embedded-postgres.ts';
import { deployMigrations } from '../subgraphs/shared/postgres/schema/migrations.ts';
import { connectInProcess } from '../subgraphs/shared/subgraph/in-process-connection.ts';
import { createInProcessStore } from '../subgraphs/shared/stores/key-value-store.ts';
import { BenchmarkRedis } from './harness/control-plane.ts';
import { median } from './harness/numbers.ts';
import type { BenchmarkOptions } from './harness/options.ts';
import { processesOf } from './harness/process-usage.ts';

const MODELS = 60;
const FLAGS_OF_MODEL = 83;
const FLAGS_OF_ALL = 17;
/** Syncs that reach the subgraph at once; a gateway asks once for all vehicles of a partition that ask alike. */
const VEHICLES = 1_000;
/** Syncs at once over HTTP: those of the partitions that a gateway asks for. */
const REMOTE_SYNCS = 60;
const ROUNDS = 30;
const CHANGE_ROUNDS = 60;
const WARM_UP = 10;
const SYNC_ROUNDS = 5;
const VIN = 'KMHK281HGNU000001';
const MODEL = 'Model 7';
/** The environments that are compared: the first has only the flags of the vehicles of one model. */
const [ALONE, AMONG] = ['staging', 'production'] as const satisfies readonly Environment[];

const CHANGES =
  'subscription ($environment: Environment!) { flagChanges(environment: $environment) { revision previousRevision signed { key revision removed jws } proof(partitioned: true) } }';
const SYNC =
  'query ($environment: Environment!) { flagSync(environment: $environment) { revision full flags { key revision removed jws } proof(partitioned: true) } }';
const UPDATE =
  'mutation ($key: String!, $description: String!) { updateFlag(key: $key, input: { description: $description }) { applied } }';
const PAGE =
  'query ($environment: Environment!) { flags(first: 30, filter: { environment: $environment }) { totalCount nodes { key name enabled rules { id type priority enabled conditions value variant } } } }';
const EVALUATE = `query ($environment: Environment!) { evaluateFlags(environment: $environment, context: { vin: "${VIN}" }) { flagKey value variant reason } }`;

const logger = pino({ level: 'silent' });
const identityOf = (caller: Caller): CallerIdentity => ({
  caller,
  origin: { ipAddress: null, userAgent: null, requestId: '00000000-0000-4000-8000-000000000000' },
});
const vehicleOf = (environment: Environment) =>
  identityOf({ kind: 'vehicle', vin: null, environment, partition: environment === AMONG ? MODEL : '*' });

/** Gives the flags of an environment as a file has them: each with one rule, 100 in each partition. */
function entriesOf(environment: Environment): FlagEntry[] {
  const models = environment === AMONG ? Array.from({ length: MODELS }, (_, index) => `Model ${index}`) : [MODEL];
  const kinds = [
    ...Array.from({ length: FLAGS_OF_ALL }, (_, index) => ({ key: `${environment}_all_${index}`, model: null })),
    ...models.flatMap((model, of) =>
      Array.from({ length: FLAGS_OF_MODEL }, (_, index) => ({ key: `${environment}_${of}_${index}`, model })),
    ),
  ];
  return kinds.map(({ key, model }) => ({
    ...({ key, name: key, description: null, type: 'boolean', safetyLevel: 'Non-Critical', enabled: true } as const),
    ...{
      defaultValue: false,
      requires: [],
      excludes: [],
      valueSchema: null,
      activation: 'IMMEDIATE',
      killActivation: 'IMMEDIATE',
      noReturnBelow: 0,
    },
    scope: model === null || environment === ALONE ? null : [model],
    rules: [
      {
        ...({ type: 'percentage_rollout', priority: 100, enabled: true, value: true, variant: 'on' } as const),
        conditions: { rollout_percentage: 50 },
      },
    ],
  }));
}

/** Imports the flags of an environment. Gives the number of flags and the seconds. */
async function fill(
  prisma: PrismaClient,
  signer: Signer,
  environment: Environment,
  operator: CallerIdentity,
): Promise<{ readonly count: number; readonly seconds: number }> {
  const entries = entriesOf(environment);
  const imports = new ImportService(createFlagChanges(prisma, signer, createInProcessBus(), logger));
  const from = performance.now();
  for await (const { message } of imports.apply(operator, await planImport(prisma, environment, entries), false))
    if (message !== undefined) throw new Error(message);
  return { count: entries.length, seconds: (performance.now() - from) / 1_000 };
}

/** Milliseconds in the environment that has only the flags of one model, and in the one of many. */
interface Pair {
  readonly few: number;
  readonly many: number;
}
type FigureName = 'change' | 'sync' | 'page' | 'evaluate';

const variablesOf = (environment: Environment) => ({ environment: environment.toUpperCase() });

async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return performance.now() - from;
}

type Comparison = Record<Environment, readonly number[]>;

class Measurement {
  readonly #counts = { development: 0, staging: 0, production: 0 };

  constructor(
    private readonly flags: SubgraphConnection,
    private readonly operator: CallerIdentity,
    private readonly vehicles: number,
  ) {}

  async #ok(query: string, variables: object, identity: CallerIdentity): Promise<void> {
    const { errors } = await this.flags.execute({ query, variables: { ...variables }, identity });
    if (errors?.[0] !== undefined) throw new Error(errors[0].message);
  }

  /** Times work in both environments by turns: other work on the machine must not fall on one of them. */
  async #compared(rounds: number, warmUp: number, work: (environment: Environment) => Promise<number>): Promise<Pair> {
    const taken: Comparison = { development: [], staging: [], production: [] };
    for (let round = 0; round < warmUp + rounds; round++)
      for (const environment of round % 2 === 0 ? [ALONE, AMONG] : [AMONG, ALONE]) {
        const ms = await work(environment);
        if (round >= warmUp) taken[environment] = [...taken[environment], ms];
      }
    return { few: median([...taken[ALONE]]), many: median([...taken[AMONG]]) };
  }

  #asked(query: string): Promise<Pair> {
    return this.#compared(ROUNDS, WARM_UP, (environment) =>
      timed(() => this.#ok(query, variablesOf(environment), this.operator)),
    );
  }

  #syncs(): Promise<Pair> {
    return this.#compared(SYNC_ROUNDS, 1, (environment) =>
      timed(async () => {
        const ask = () => this.#ok(SYNC, variablesOf(environment), vehicleOf(environment));
        await Promise.all(Array.from({ length: this.vehicles }, ask));
      }),
    );
  }

  /** The milliseconds from a mutation's start to its event, with a proof, on the stream of the vehicles. */
  async #changes(): Promise<Pair> {
    const streams = new Map(
      [ALONE, AMONG].map((environment): [Environment, ReturnType<SubgraphConnection['subscribe']>] => [
        environment,
        this.flags.subscribe({
          ...{ query: CHANGES, variables: variablesOf(environment), identity: vehicleOf(environment) },
        }),
      ]),
    );
    for (const stream of streams.values()) await stream.established;
    const pair = await this.#compared(CHANGE_ROUNDS, WARM_UP, async (environment) => {
      const key = `${environment}_${environment === AMONG ? 7 : 0}_1`;
      const description = `${(this.#counts[environment] += 1)}`;
      const taken = await timed(() =>
        Promise.all([this.#ok(UPDATE, { key, description }, this.operator), streams.get(environment)?.next()]),
      );
      // The next change comes after a quiet while, so that it is read at once.
      await new Promise((resolve) => setTimeout(resolve, 120));
      return taken;
    });
    for (const stream of streams.values()) await stream.return?.();
    return pair;
  }

  async all(): Promise<Readonly<Record<FigureName, Pair>>> {
    const sync = await this.#syncs();
    return {
      change: await this.#changes(),
      sync,
      page: await this.#asked(PAGE),
      evaluate: await this.#asked(EVALUATE),
    };
  }
}

const GOALS: readonly { readonly name: FigureName; readonly what: string; readonly goal: number }[] = [
  { name: 'change', what: 'a change, until it is on the stream of vehicles', goal: 1.1 },
  { name: 'sync', what: `${VEHICLES} syncs at once`, goal: 1.2 },
  { name: 'page', what: "the dashboard's page of 30 flags", goal: 1.2 },
  { name: 'evaluate', what: '`evaluateFlags` of a vehicle', goal: 1.2 },
];

const megabytes = (bytes: number) => (bytes / 1_048_576).toFixed(0);

/**
 * Starts the flags subgraph as a process of its own on the same database, asks it for all of the above, and prints its
 * memory.
 */
async function printMemory(databaseUrl: string, signingKey: string, operator: CallerIdentity): Promise<void> {
  const redis = await BenchmarkRedis.start();
  if (redis === null) {
    console.log('\nThe memory of a flags instance is not measured: there is no redis-server here.');
    return;
  }
  const secret = randomBytes(32).toString('base64url');
  const flags = new ProjectProcess(['service', 'flags'], {
    ...{ PORT: '0', LOG_LEVEL: 'error', DATABASE_URL: databaseUrl, REDIS_URL: redis.url },
    ...{ FLEETFLAG_INTERNAL_SECRET: secret, FLEETFLAG_SIGNING_KEY: signingKey },
  });
  try {
    const [, port] = await flags.printed(/ready at http:\/\/localhost:(\d+)/);
    const tokens = createIdentityTokens(secret);
    const connection = connectRemote({ name: 'flags', urls: [`http://127.0.0.1:${port}`], tokens });
    try {
      await new Measurement(connection, operator, REMOTE_SYNCS).all();
      const [memory] = await processesOf([flags.child.pid ?? 0]);
      const { residentBytes = NaN, privateBytes = NaN } = memory ?? {};
      console.log(
        `\nA flags instance of its own takes ${megabytes(residentBytes)} MB after this, ${megabytes(privateBytes)} MB of it private (goal: 400 MB).`,
      );
    } finally {
      await connection.close();
    }
  } finally {
    await flags.stop();
    await redis.stop();
  }
}

/** Prints the tables. Takes about two minutes. */
export async function run(_options: Partial<BenchmarkOptions> = {}): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'fleetflag-bench-'));
  const server = await startEmbeddedPostgres({ dataDir, log: () => undefined });
  try {
    await deployMigrations({ url: server.url });
    const database = await openDatabase({ url: server.url });
    const { prisma } = database;
    try {
      const signingKey = await generateSigningKey();
      const signer = await createSigner(signingKey);
      await prisma.vehicle.create({
        data: { vin: VIN, model: MODEL, swVersion: '1', region: 'EU', status: 'offline' },
      });
      const { id } = await prisma.user.create({
        data: { email: 'bench@example.com', name: 'Bench', passwordHash: '-', role: 'WRITE' },
      });
      const operator = identityOf({ kind: 'user', userId: id, role: 'WRITE', sessionKey: null });
      await fill(prisma, signer, ALONE, operator);
      const { count, seconds } = await fill(prisma, signer, AMONG, operator);
      console.log(`\n${count} flags over ${MODELS} models, ${FLAGS_OF_MODEL + FLAGS_OF_ALL} in each partition`);
      console.log(`\nTheir import took ${seconds.toFixed(1)} s (goal: 30 s).\n`);
      await prisma.$executeRaw`ANALYZE`;
      const started = await startFlags({
        ...{ prisma, bus: createInProcessBus(), store: createInProcessStore(), signer, logger },
        ...{ lanes: (name) => database.lane(name), appliesRollouts: false },
      });
      const connection = connectInProcess(started.subgraph, async () => true);
      try {
        const figures = await new Measurement(connection, operator, VEHICLES).all();
        console.log('| | only these flags, ms | among all, ms | ratio | goal |\n|---|---|---|---|---|');
        for (const { name, what, goal } of GOALS) {
          const { few, many } = figures[name];
          console.log(`| ${what} | ${few.toFixed(1)} | ${many.toFixed(1)} | ${(many / few).toFixed(2)} | ${goal} |`);
        }
      } finally {
        await started.close();
        await connection.close();
      }
      await printMemory(server.url, signingKey, operator);
    } finally {
      await database.close();
    }
  } finally {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}
