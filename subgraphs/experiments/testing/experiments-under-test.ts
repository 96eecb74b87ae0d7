/** The experiments subgraph on a test database, with common steps of tests. */
import { randomUUID } from 'node:crypto';
import type { Caller } from '../../../core/access/caller.ts';
import type { Prisma, PrismaClient } from '../../../prisma/generated/client.ts';
import type { MetricsStore } from '../../shared/stores/metrics-store.ts';
import { asking, silent, user, type DataOrErrors, type Ask } from '../../shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import { startExperiments } from '../subgraph.ts';

/** A flag that a test has created. */
export interface FlagUnderTest {
  readonly id: string;
  readonly key: string;
}

/** A rule of such a flag. */
export interface RuleUnderTest {
  readonly type?: string;
  readonly priority?: number;
  readonly enabled?: boolean;
  readonly variant?: string;
  readonly conditions?: Prisma.InputJsonObject;
}

/** A rollout at 50 %. */
export const HALF: RuleUnderTest = { conditions: { rollout_percentage: 50 } };
/** The selection of an experiment in tests. */
export const EXPERIMENT =
  'id name description status startDate endDate sampleSize confidenceLevel primaryMetric winnerVariant pValue improvementPercent cancelReason';

/** A running experiments subgraph. */
export class ExperimentsUnderTest {
  private constructor(
    readonly database: TestDatabase,
    readonly ask: Ask,
    /** A user with WRITE who is in the users table. */
    readonly writer: Caller & { kind: 'user' },
  ) {}

  /** Starts the subgraph on a new test database. */
  static async start(metrics: MetricsStore): Promise<ExperimentsUnderTest> {
    const database = await createTestDatabase();
    const { prisma } = database.database;
    const { id } = await prisma.user.create({
      data: { email: 'w@example.com', name: 'W', passwordHash: '-', role: 'WRITE' },
    });
    const started = await startExperiments({ prisma, metrics, logger: silent, keepsStatistics: false });
    return new ExperimentsUnderTest(database, asking(started.subgraph), user('WRITE', id) as Caller & { kind: 'user' });
  }

  get prisma(): PrismaClient {
    return this.database.database.prisma;
  }

  /** Creates an enabled flag with these rules: by default a rollout at 50 %. */
  async newFlag(
    rules: readonly RuleUnderTest[] = [HALF],
    over: Partial<Prisma.FlagUncheckedCreateInput> = {},
  ): Promise<FlagUnderTest> {
    const key = `flag_${randomUUID().slice(0, 8)}`;
    const data = {
      key,
      name: key,
      type: 'boolean',
      defaultValue: { value: false },
      safetyLevel: 'Non-Critical',
      environment: 'staging',
      enabled: true,
      ...over,
    };
    const { id } = await this.prisma.flag.create({
      data: {
        ...data,
        rules: {
          create: rules.map((rule, index) => ({
            type: 'percentage_rollout',
            priority: index,
            conditions: {},
            ...rule,
          })),
        },
      },
    });
    return { id, key };
  }

  /** Creates a draft and gives its id. */
  async draft(flag: FlagUnderTest, more: object = {}): Promise<string> {
    const input = {
      flagKey: flag.key,
      name: 'Faster charging',
      startDate: '2026-12-01T00:00:00.000Z',
      sampleSize: 500,
      primaryMetric: 'charge_minutes',
      ...more,
    };
    const { data, errors } = await this.ask<{ createExperiment: { id: string } }>(
      this.writer,
      'mutation($input: CreateExperimentInput!) { createExperiment(input: $input) { id } }',
      { input },
    );
    if (errors.length > 0) throw new Error(JSON.stringify(errors));
    return data.createExperiment.id;
  }

  /** Starts, completes or cancels (with a reason) an experiment. */
  to<Data = Record<string, unknown>>(
    what: 'start' | 'complete' | 'cancel',
    id: string,
    more = '',
    caller: Caller = this.writer,
  ): Promise<DataOrErrors<{ experiment: Data }>> {
    return this.ask(caller, `mutation { experiment: ${what}Experiment(id: "${id}"${more}) { ${EXPERIMENT} } }`);
  }

  /** Creates a running experiment on a new flag, started at `since`. */
  async running(more: object = {}, since = new Date()): Promise<{ id: string; flag: FlagUnderTest }> {
    const flag = await this.newFlag();
    const id = await this.draft(flag, more);
    const { errors } = await this.to('start', id);
    if (errors.length > 0) throw new Error(JSON.stringify(errors));
    await this.prisma.experiment.update({ where: { id }, data: { startDate: since } });
    return { id, flag };
  }

  /** Gives an experiment's stored status. */
  statusOf(id: string): Promise<string> {
    return this.prisma.experiment.findUniqueOrThrow({ where: { id } }).then(({ status }) => status);
  }

  /** Gives the actions of the flag's audit rows. */
  async actions(flag: FlagUnderTest): Promise<string[]> {
    const rows = await this.prisma.auditLog.findMany({ where: { flagId: flag.id }, orderBy: { chainPosition: 'asc' } });
    return rows.map(({ action }) => action);
  }

  /** Reads the newest audit row. */
  lastAudit() {
    return this.prisma.auditLog.findFirstOrThrow({ orderBy: { chainPosition: 'desc' } });
  }
}
