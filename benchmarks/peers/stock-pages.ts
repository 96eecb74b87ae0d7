/**
 * A stock Apollo gateway before two stock subgraphs over HTTP, which read the control plane's own database with
 * prepared statements and loaders, as one would write them by hand: `stock-pages.ts DATABASE_URL`. It checks no
 * credentials.
 */
import { ApolloGateway } from '@apollo/gateway';
import { ApolloServer } from '@apollo/server';
import { ApolloServerPluginInlineTraceDisabled } from '@apollo/server/plugin/disabled';
import { startStandaloneServer } from '@apollo/server/standalone';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { composeServices } from '@apollo/composition';
import DataLoader from 'dataloader';
import { parse, type GraphQLScalarType } from 'graphql';
import { GraphQLJSON } from 'graphql-scalars';
import { Pool } from 'pg';
import { compileFlag, evaluateFlag } from '../../core/evaluation/evaluate.ts';
import type { EvaluationContext, FlagDefinition, RuleDefinition } from '../../core/model.ts';

process.env['APOLLO_TELEMETRY_DISABLED'] = '1';
const pool = new Pool({ connectionString: process.argv[2], max: 10 });

async function rows<Row>(name: string, text: string, values: unknown[]): Promise<Row[]> {
  return (await pool.query({ name, text, values })).rows as Row[];
}

const LINK = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key"])';
const FLAGS = `${LINK}
  scalar JSON
  type User @key(fields: "id", resolvable: false) { id: ID! }
  type Rule { id: ID! type: String! priority: Int! enabled: Boolean! conditions: JSON! value: JSON variant: String }
  type Flag @key(fields: "id") {
    id: ID! key: String! name: String! enabled: Boolean! safetyLevel: String! environment: String! revision: Int! updatedAt: String!
    rules: [Rule!]! createdBy: User updatedBy: User
  }
  type FlagConnection { nodes: [Flag!]! totalCount: Int! }
  type Evaluation { flagKey: String! value: JSON! variant: String! reason: String! ruleId: ID revision: Int! }
  input EvaluationContext { vin: String model: String swVersion: String region: String }
  type Query { flags(first: Int): FlagConnection! evaluateFlag(key: String!, context: EvaluationContext!): Evaluation! }`;
const AUDIT = `${LINK}
  type User @key(fields: "id") { id: ID! name: String! }
  type AuditLog { id: ID! action: String! createdAt: String! user: User }
  type AuditLogConnection { nodes: [AuditLog!]! }
  type Flag @key(fields: "id") { id: ID! history(first: Int): AuditLogConnection! }`;

interface FlagRow extends Omit<FlagDefinition, 'rules' | 'revision'> {
  readonly id: string;
  readonly createdById: string | null;
  readonly updatedById: string | null;
  readonly revision: string;
  readonly updatedAt: Date;
}
interface EntryRow {
  readonly flagId: string;
  readonly userId: string | null;
}
interface Loaders {
  readonly rulesOf: DataLoader<string, RuleDefinition[]>;
  readonly userById: DataLoader<string, { id: string; name: string } | null>;
  readonly historyOf: DataLoader<{ id: string; first: number }, EntryRow[], string>;
}

function grouped<Row, Key>(ids: readonly Key[], found: readonly Row[], idOf: (row: Row) => Key): Row[][] {
  const groups = new Map<Key, Row[]>(ids.map((id) => [id, []]));
  for (const row of found) groups.get(idOf(row))?.push(row);
  return ids.map((id) => groups.get(id) ?? []);
}

const loaders = (): Loaders => ({
  rulesOf: new DataLoader(async (ids) =>
    grouped(
      ids,
      await rows<RuleDefinition & { flagId: string }>(
        'rules',
        `SELECT id, flag_id AS "flagId", type, priority, enabled, conditions, value->'value' AS value, variant FROM rules WHERE flag_id = ANY($1) ORDER BY priority DESC, type, id`,
        [ids],
      ),
      ({ flagId }) => flagId,
    ),
  ),
  userById: new DataLoader(async (ids) => {
    const found = await rows<{ id: string; name: string }>('users', 'SELECT id, name FROM users WHERE id = ANY($1)', [
      ids,
    ]);
    return ids.map((id) => found.find((user) => user.id === id) ?? null);
  }),
  historyOf: new DataLoader<{ id: string; first: number }, EntryRow[], string>(
    async (asked) =>
      grouped(
        asked.map(({ id }) => id),
        await rows<EntryRow>(
          'histories',
          `SELECT entry.* FROM unnest($1::uuid[]) AS flag (id) CROSS JOIN LATERAL (
             SELECT id, flag_id AS "flagId", user_id AS "userId", action, created_at AS "createdAt" FROM audit_logs
             WHERE flag_id = flag.id ORDER BY created_at DESC, chain_position DESC LIMIT $2) AS entry`,
          [asked.map(({ id }) => id), asked[0]?.first ?? 20],
        ),
        ({ flagId }) => flagId,
      ),
    { cacheKeyFn: ({ id, first }) => `${id} ${first}` },
  ),
});

const FLAG_COLUMNS = `id, key, name, type, enabled, environment, revision, safety_level AS "safetyLevel", default_value->'value' AS "defaultValue", created_by AS "createdById", updated_by AS "updatedById", updated_at AS "updatedAt"`;
const reference = (id: string | null) => (id === null ? null : { __typename: 'User', id });

async function serve(typeDefs: string, resolvers: object): Promise<string> {
  const schema = buildSubgraphSchema([
    { typeDefs: parse(typeDefs), resolvers: resolvers as Record<string, Record<string, never>> },
  ]);
  const server = new ApolloServer<Loaders>({ schema, plugins: [ApolloServerPluginInlineTraceDisabled()] });
  return (await startStandaloneServer(server, { context: async () => loaders(), listen: { port: 0 } })).url;
}

const flagsUrl = await serve(FLAGS, {
  JSON: GraphQLJSON as GraphQLScalarType,
  Query: {
    async flags(_: unknown, { first = 20 }: { first?: number }) {
      const [nodes, [total]] = await Promise.all([
        rows<FlagRow>(
          'flags',
          `SELECT ${FLAG_COLUMNS} FROM flags WHERE archived_at IS NULL ORDER BY created_at DESC, id DESC LIMIT $1`,
          [first],
        ),
        rows<{ count: string }>('count', 'SELECT count(*) FROM flags WHERE archived_at IS NULL', []),
      ]);
      return { nodes, totalCount: Number(total?.count) };
    },
    async evaluateFlag(
      _: unknown,
      { key, context }: { key: string; context: EvaluationContext },
      { rulesOf }: Loaders,
    ) {
      const [[flag], [vehicle]] = await Promise.all([
        rows<FlagRow>('flag', `SELECT ${FLAG_COLUMNS} FROM flags WHERE key = $1`, [key]),
        rows<EvaluationContext>(
          'vehicle',
          'SELECT model, sw_version AS "swVersion", region FROM vehicles WHERE vin = $1',
          [context.vin],
        ),
      ]);
      if (flag === undefined) throw new Error('There is no such flag');
      const rules = await rulesOf.load(flag.id);
      const definition = { ...flag, revision: Number(flag.revision), rules };
      return { flagKey: key, ...evaluateFlag(compileFlag(definition), { ...vehicle, ...context }) };
    },
  },
  Flag: {
    revision: ({ revision }: FlagRow) => Number(revision),
    updatedAt: ({ updatedAt }: FlagRow) => updatedAt.toISOString(),
    rules: ({ id }: FlagRow, _: unknown, { rulesOf }: Loaders) => rulesOf.load(id),
    createdBy: ({ createdById }: FlagRow) => reference(createdById),
    updatedBy: ({ updatedById }: FlagRow) => reference(updatedById),
  },
});
const auditUrl = await serve(AUDIT, {
  User: { __resolveReference: ({ id }: { id: string }, { userById }: Loaders) => userById.load(id) },
  Flag: {
    __resolveReference: ({ id }: { id: string }) => ({ id }),
    history: async ({ id }: { id: string }, { first = 20 }: { first?: number }, { historyOf }: Loaders) => ({
      nodes: await historyOf.load({ id, first }),
    }),
  },
  AuditLog: {
    createdAt: ({ createdAt }: { createdAt: Date }) => createdAt.toISOString(),
    user: ({ userId }: EntryRow, _: unknown, { userById }: Loaders) => (userId === null ? null : userById.load(userId)),
  },
});

const { supergraphSdl, errors } = composeServices([
  { name: 'flags', url: flagsUrl, typeDefs: parse(FLAGS) },
  { name: 'audit', url: auditUrl, typeDefs: parse(AUDIT) },
]);
if (supergraphSdl === undefined) throw new Error(errors?.map(({ message }) => message).join('\n'));
const gateway = new ApolloServer({ gateway: new ApolloGateway({ supergraphSdl }) });
const { url } = await startStandaloneServer(gateway, { listen: { port: 0, host: '127.0.0.1' } });
console.log(`LISTENING ${new URL(url).port}`);
