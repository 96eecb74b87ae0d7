/** The flags subgraph on a test database, with common steps of tests. */
import { randomUUID } from 'node:crypto';
import type { Caller, Role } from '../../../core/access/caller.ts';
import type { SubgraphConnection } from '../../../core/wire/subgraph/subgraph.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { createInProcessBus, type Bus } from '../../shared/feeds/bus.ts';
import { createInProcessStore, type KeyValueStore } from '../../shared/stores/key-value-store.ts';
import { connectInProcess } from '../../shared/subgraph/in-process-connection.ts';
import { asking, silent, type Ask } from '../../shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import { createSigner, generateSigningKey, type Signer } from '../signing/signing.ts';
import { startFlags, type FlagsOptions } from '../subgraph.ts';

/** A flag as the API gives it. */
export interface FlagJson {
  readonly id: string;
  readonly key: string;
  readonly name: string;
  readonly enabled: boolean;
  readonly killed: boolean;
  readonly environment: string;
  readonly revision: number;
  readonly archivedAt: string | null;
  readonly defaultValue: unknown;
  readonly rules: readonly {
    readonly id: string;
    readonly type: string;
    readonly enabled: boolean;
    readonly conditions: unknown;
  }[];
}

/** The selection of `FlagJson`. */
export const FLAG_FIELDS =
  'id key name enabled killed environment revision archivedAt defaultValue rules { id type enabled conditions }';
const CREATE = `mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied flag { ${FLAG_FIELDS} } changeRequest { id } } }`;
const APPROVE = `mutation ($id: ID!) { approveChangeRequest(id: $id) { flag { ${FLAG_FIELDS} } } }`;
const RULE = `mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { flag { ${FLAG_FIELDS} } } }`;
const MOVE = `mutation ($key: String!, $to: Environment!) { updateFlag(key: $key, input: { environment: $to }) { applied flag { ${FLAG_FIELDS} } } }`;

/** A bus whose announcements can be lost. */
export interface LossyBus extends Bus {
  lost: boolean;
}

function lossyBus(): LossyBus {
  const bus = createInProcessBus();
  return {
    ...bus,
    lost: false,
    async publish(channel, message) {
      if (!this.lost) await bus.publish(channel, message);
    },
  };
}

/** Adds a person to the users table and gives the caller. */
export async function addPerson(
  prisma: PrismaClient,
  role: Role,
  email = `${randomUUID()}@example.com`,
): Promise<Caller & { kind: 'user'; userId: string }> {
  const { id } = await prisma.user.create({ data: { email, name: role, passwordHash: '-', role } });
  return { kind: 'user', userId: id, role, sessionKey: null };
}

/** A running flags subgraph with its people. */
export class FlagsUnderTest {
  #counter = 0;

  private constructor(
    readonly database: TestDatabase,
    readonly ask: Ask,
    readonly connection: SubgraphConnection,
    readonly signer: Signer,
    readonly bus: LossyBus,
    readonly store: KeyValueStore,
    /** A user with WRITE who is in the users table. */
    readonly writer: Caller & { kind: 'user' },
    /** A second person, with SAFETY. */
    readonly reviewer: Caller & { kind: 'user' },
    readonly stop: () => Promise<void>,
  ) {}

  /** Starts the subgraph on a new test database. */
  static async start(options: Partial<Pick<FlagsOptions, 'clock' | 'appliesRollouts'>> = {}): Promise<FlagsUnderTest> {
    const database = await createTestDatabase();
    const { prisma } = database.database;
    const writer = await addPerson(prisma, 'WRITE', 'writer@example.com');
    const reviewer = await addPerson(prisma, 'SAFETY', 'reviewer@example.com');
    const bus = lossyBus();
    const store = createInProcessStore();
    const signer = await createSigner(await generateSigningKey());
    const started = await startFlags({
      prisma,
      lanes: (name) => database.database.lane(name),
      bus,
      store,
      signer,
      logger: silent,
      ...options,
    });
    return new FlagsUnderTest(
      database,
      asking(started.subgraph),
      connectInProcess(started.subgraph, async () => true),
      signer,
      bus,
      store,
      writer,
      reviewer,
      () => started.close(),
    );
  }

  get prisma(): PrismaClient {
    return this.database.database.prisma;
  }

  /** Stops the subgraph and drops the database. */
  async remove(): Promise<void> {
    await this.stop();
    await this.connection.close();
    await this.database.drop();
  }

  /** Gives an unused key. */
  newKey(): string {
    return `flag_${++this.#counter}_${randomUUID().slice(0, 8)}`;
  }

  /** Runs an operation and gives its data; the answer must have no errors. */
  async ok<Data>(query: string, variables: Record<string, unknown> = {}, caller: Caller = this.writer): Promise<Data> {
    const { data, errors } = await this.ask<Data>(caller, query, variables);
    if (errors.length > 0) throw new Error(JSON.stringify(errors));
    return data;
  }

  /** Creates a living flag; an ASIL-D one is approved. */
  async create(over: Record<string, unknown> = {}): Promise<FlagJson> {
    const input = {
      key: this.newKey(),
      name: 'A flag',
      type: 'BOOLEAN',
      defaultValue: false,
      safetyLevel: 'NON_CRITICAL',
      environment: 'STAGING',
      ...over,
    };
    const { flag, changeRequest } = (
      await this.ok<{ createFlag: { flag: FlagJson; changeRequest: { id: string } | null } }>(CREATE, { input })
    ).createFlag;
    return changeRequest === null ? flag : this.approve(changeRequest.id);
  }

  /** Approves a request as the second person; gives the flag's new state. */
  async approve(id: string): Promise<FlagJson> {
    return (await this.ok<{ approveChangeRequest: { flag: FlagJson } }>(APPROVE, { id }, this.reviewer))
      .approveChangeRequest.flag;
  }

  /** Adds a rule to a flag. */
  async addRule(key: string, input: Record<string, unknown>): Promise<FlagJson> {
    return (await this.ok<{ createRule: { flag: FlagJson } }>(RULE, { key, input })).createRule.flag;
  }

  /** Moves a flag to another environment. */
  async move(key: string, to: string): Promise<FlagJson> {
    return (await this.ok<{ updateFlag: { flag: FlagJson } }>(MOVE, { key, to })).updateFlag.flag;
  }

  /** Gives the revision of an environment, by its stored name. */
  async revision(environment = 'staging'): Promise<number> {
    return Number((await this.prisma.environment.findUniqueOrThrow({ where: { name: environment } })).revision);
  }

  /** Gives everything that a change could leave behind. */
  async everything(): Promise<unknown> {
    const { prisma } = this;
    const [flags, rules, environments, tombstones, audit] = await Promise.all([
      prisma.flag.findMany({ orderBy: { id: 'asc' } }),
      prisma.rule.findMany({ orderBy: { id: 'asc' } }),
      prisma.environment.findMany({ orderBy: { name: 'asc' } }),
      prisma.flagTombstone.findMany({ orderBy: [{ environment: 'asc' }, { key: 'asc' }] }),
      prisma.auditLog.count(),
    ]);
    return { flags, rules, environments, tombstones, audit };
  }
}
