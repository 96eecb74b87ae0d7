/**
 * Two small real subgraphs: `flags` owns the flag and the subscription, and `audit` adds the flag's history. They run
 * in the test's process and record their requests.
 */
import { composeServices } from '@apollo/composition';
import { Supergraph } from '@apollo/federation-internals';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { GraphQLError, graphql, parse, subscribe, validate, type DocumentNode, type GraphQLSchema } from 'graphql';
import { FleetFlagError } from '../../../core/errors.ts';
import type {
  SubgraphConnection,
  SubgraphName,
  SubgraphRequest,
  SubgraphResponse,
} from '../../../core/wire/subgraph/subgraph.ts';
import { EventSource } from './event-source.ts';

export interface TestChangeEvent {
  readonly environment: string;
  readonly revision: number;
  readonly previousRevision?: number;
  readonly flag: { readonly key: string; readonly note?: string };
}

const FLAGS = `
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])
  type Query { flag(key: String!): Flag revision: Int! }
  type Mutation { touch: Boolean! }
  type Subscription { changes(environment: String!, prefix: String = ""): Change! }
  type Change { environment: String! revision: Int! previousRevision: Int flag: Flag! }
  type Flag @key(fields: "key") { key: String! note: String }
`;
const AUDIT = `
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])
  type Flag @key(fields: "key") { key: String! history(first: Int = 20): [String!]! owner: String! secret: String }
`;

/** The data that `audit` gives for a flag's key; tests replace it. */
export interface AuditData {
  history(key: string, first: number): Promise<string[]> | string[];
  owner(key: string): string | null;
}

/** A subgraph in this process that records its requests. */
class InMemorySubgraph implements SubgraphConnection {
  readonly executed: SubgraphRequest[] = [];
  readonly subscribed: SubgraphRequest[] = [];
  /** Settles when a new subscription counts as established; tests may replace it by a pending promise. */
  establishing: Promise<void> | undefined = Promise.resolve();

  private readonly failures = new Map<string, (error: Error) => void>();

  constructor(
    readonly name: SubgraphName,
    private readonly schema: GraphQLSchema,
  ) {}

  async execute(request: SubgraphRequest): Promise<SubgraphResponse> {
    this.executed.push(request);
    const result = await graphql({
      schema: this.schema,
      source: request.query,
      variableValues: request.variables,
      operationName: request.operationName,
      contextValue: request.identity,
    });
    return JSON.parse(JSON.stringify(result)) as SubgraphResponse;
  }

  subscribe(request: SubgraphRequest): AsyncIterableIterator<SubgraphResponse> {
    this.subscribed.push(request);
    const events = this.open(request);
    let lose!: (error: Error) => void;
    const loss = new Promise<never>((_, reject) => (lose = reject));
    loss.catch(() => undefined);
    this.failures.set(JSON.stringify(request.variables?.['e']), lose);
    // This is not a generator, because return() of a generator waits for the pending next().
    const iterator: AsyncIterableIterator<SubgraphResponse> = {
      [Symbol.asyncIterator]: () => iterator,
      async next() {
        const item = await Promise.race([events.then((source) => source.next()), loss]);
        return item.done === true
          ? { value: undefined, done: true }
          : { value: JSON.parse(JSON.stringify(item.value)) as SubgraphResponse, done: false };
      },
      async return() {
        await (await events).return?.();
        return { value: undefined, done: true };
      },
    };
    return this.establishing === undefined ? iterator : Object.assign(iterator, { established: this.establishing });
  }

  private async open(request: SubgraphRequest): Promise<AsyncIterator<unknown>> {
    const document: DocumentNode = parse(request.query);
    const errors = validate(this.schema, document);
    const source =
      errors.length > 0
        ? { errors }
        : await subscribe({
            schema: this.schema,
            document,
            variableValues: request.variables,
            operationName: request.operationName,
            contextValue: request.identity,
          });
    if (Symbol.asyncIterator in source) return source;
    const refusal = new EventSource<unknown>();
    const once = refusal.iterate(() => true);
    refusal.emit(source);
    return once;
  }

  /** Breaks the connection of the newest subscription whose variable `e` is `environment`. */
  fail(environment: string): void {
    this.failures.get(JSON.stringify(environment))?.(
      new FleetFlagError('SERVICE_UNAVAILABLE', 'The connection was lost.'),
    );
  }

  ready(): Promise<boolean> {
    return Promise.resolve(true);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function absent(name: SubgraphName): SubgraphConnection {
  const refusal = new FleetFlagError('SERVICE_UNAVAILABLE', `${name} is not part of this test.`);
  return {
    name,
    execute: () => Promise.reject(refusal),
    subscribe: () => {
      throw refusal;
    },
    ready: () => Promise.resolve(false),
    close: () => Promise.resolve(),
  };
}

/** Makes the two subgraphs and composes them; `changes` feeds the subscription. */
export function federatedSubgraphs() {
  const changes = new EventSource<TestChangeEvent>();
  const audit: AuditData = {
    history: (key, first) => [`${key} created`, `${key} changed`].slice(0, first),
    owner: () => 'fleet team',
  };
  const state = { revision: 0 };
  const flagsSchema = buildSubgraphSchema({
    typeDefs: parse(FLAGS),
    resolvers: {
      Query: { flag: (_: unknown, { key }: { key: string }) => ({ key }), revision: () => state.revision },
      Mutation: { touch: () => true },
      Subscription: {
        changes: {
          subscribe: (_: unknown, { environment, prefix }: { environment: string; prefix: string }) => {
            if (environment === 'forbidden')
              throw new GraphQLError('Not yours.', { extensions: { code: 'FORBIDDEN' } });
            return changes.iterate(
              (change) => change.environment === environment && change.flag.key.startsWith(prefix),
            );
          },
          resolve: (change: TestChangeEvent) => change,
        },
      },
    },
  });
  const auditSchema = buildSubgraphSchema({
    typeDefs: parse(AUDIT),
    resolvers: {
      Flag: {
        history: ({ key }: { key: string }, { first }: { first: number }) => audit.history(key, first),
        owner: ({ key }: { key: string }) => audit.owner(key),
        secret: () => {
          throw new Error('connect ECONNREFUSED 10.0.0.7:5432');
        },
      },
    },
  });
  const { supergraphSdl, errors } = composeServices([
    { name: 'flags', url: 'http://flags', typeDefs: parse(FLAGS) },
    { name: 'audit', url: 'http://audit', typeDefs: parse(AUDIT) },
  ]);
  if (supergraphSdl === undefined) throw new Error(errors?.join('\n'));
  const flagsConnection = new InMemorySubgraph('flags', flagsSchema);
  const auditConnection = new InMemorySubgraph('audit', auditSchema);
  return {
    changes,
    audit,
    state,
    flags: flagsConnection,
    auditSubgraph: auditConnection,
    schema: { apiSchema: Supergraph.build(supergraphSdl).apiSchema().toGraphQLJSSchema(), supergraphSdl },
    subgraphs: {
      flags: flagsConnection,
      audit: auditConnection,
      vehicles: absent('vehicles'),
      experiments: absent('experiments'),
    },
  };
}
