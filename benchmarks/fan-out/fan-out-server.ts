/** The server's process of the fan-out benchmark: `fan-out-server.ts shared|useServer`. */
import { createServer } from 'node:http';
import { composeServices } from '@apollo/composition';
import { Supergraph } from '@apollo/federation-internals';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { buildSchema, graphql, parse, subscribe } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocketServer } from 'ws';
import type { SubgraphConnection, SubgraphName, SubgraphResponse } from '../../core/wire/subgraph/subgraph.ts';
import { RightOfWay } from '../../gateway/operations/turns/right-of-way.ts';
import { createSubscriptionServer } from '../../gateway/transports/websocket/subscription-server.ts';
import { openSteps } from '../../gateway/transports/websocket/testing/open-steps.ts';
import { EventSource } from '../../gateway/subscriptions/testing/event-source.ts';
import { wallClockMs, type ServerCommand, type ServerMessage, type Way } from './fan-out-messages.ts';
import { boundAddress } from '../../core/wire/network/http-server.ts';

const FIELDS = 'key: String! name: String! enabled: Boolean! note: String!';
const CHANGES =
  'type Subscription { changes: Change! } type Change { revision: Int! previousRevision: Int! statement: String! flag: Flag! }';
const federated = (types: string) =>
  `extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"]) ${types}`;

const changes = new EventSource<object>();
const owner = () => 'Chassis systems';
const changeOf = (revision: number) => ({
  revision,
  previousRevision: revision - 1,
  statement: 'eyJhbGciOiJFZERTQSJ9.'.padEnd(220, 'x'),
  flag: { key: 'adaptive-suspension', name: 'Adaptive suspension', enabled: true, note: 'n'.repeat(150) },
});
const source = { changes: { subscribe: () => changes.iterate(() => true), resolve: (change: object) => change } };

/** Connects a subgraph in this process. */
function subgraph(name: SubgraphName, typeDefs: string, resolvers: Record<string, unknown>): SubgraphConnection {
  const schema = buildSubgraphSchema({ typeDefs: parse(typeDefs), resolvers: resolvers as never });
  return {
    name,
    execute: async ({ query, variables, operationName }) =>
      await graphql({ schema, source: query, variableValues: variables, operationName }),
    subscribe({ query }) {
      const opened = subscribe({ schema, document: parse(query) }) as Promise<AsyncIterableIterator<SubgraphResponse>>;
      const iterator = {
        [Symbol.asyncIterator]: () => iterator,
        next: async () => (await opened).next(),
        return: async () => (await opened).return?.() ?? { value: undefined, done: true as const },
        established: opened.then(() => undefined),
      };
      return iterator;
    },
    ready: () => Promise.resolve(true),
    close: () => Promise.resolve(),
  };
}

const http = createServer();

function serveShared(): void {
  const flagsSdl = federated(`type Query { ok: Boolean } ${CHANGES} type Flag @key(fields: "key") { ${FIELDS} }`);
  const auditSdl = federated('type Flag @key(fields: "key") { key: String! owner: String! }');
  const { supergraphSdl, errors } = composeServices([
    { name: 'flags', url: 'http://flags', typeDefs: parse(flagsSdl) },
    { name: 'audit', url: 'http://audit', typeDefs: parse(auditSdl) },
  ]);
  if (supergraphSdl === undefined) throw new Error(errors?.join('\n'));
  const flags = subgraph('flags', flagsSdl, { Subscription: source });
  const audit = subgraph('audit', auditSdl, { Flag: { owner } });
  const schema = { apiSchema: Supergraph.build(supergraphSdl).apiSchema().toGraphQLJSSchema(), supergraphSdl };
  const server = createSubscriptionServer({
    rightOfWay: new RightOfWay(),
    schema: () => schema,
    steps: openSteps(() => schema.apiSchema),
    subgraphs: { flags, audit, vehicles: audit, experiments: audit },
    authenticate: () => Promise.resolve({ kind: 'vehicle', vin: 'WVWZZZ1JZXW000001', environment: 'production' }),
    execute: () => Promise.reject(new Error('Only subscriptions here.')),
    maskError: () => ({ message: 'Internal server error' }),
    logger: { info: console.log, warn: console.warn, error: console.error },
  });
  http.on('upgrade', (request, socket, head) => server.handleUpgrade(request, socket, head));
}

/** Serves one schema without federation, which gives the comparison every advantage. */
function serveUseServer(): void {
  const schema = buildSchema(`type Query { ok: Boolean } ${CHANGES} type Flag { ${FIELDS} owner: String! }`);
  const root = schema.getSubscriptionType()?.getFields()['changes'];
  const ownerField = schema.getType('Flag') as unknown as { getFields(): Record<string, { resolve?: () => string }> };
  if (root === undefined) throw new Error('The schema has no subscription.');
  Object.assign(root, source.changes);
  Object.assign(ownerField.getFields()['owner'] ?? {}, { resolve: owner });
  const webSockets = new WebSocketServer({ server: http, perMessageDeflate: false });
  useServer({ schema }, webSockets);
}

const say = (message: ServerMessage): unknown => process.send?.(message);
const way = process.argv[2] as Way;
if (way === 'shared') serveShared();
else serveUseServer();
http.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => say({ port: boundAddress(http).port }));

let revision = 0;
process.on('message', (command: ServerCommand) => {
  if ('emit' in command) {
    say({ emittedAtMs: wallClockMs() });
    for (let count = 0; count < command.emit; count++) changes.emit(changeOf(++revision));
    return;
  }
  if (command.sample === 'memory') globalThis.gc?.();
  const { user, system } = process.cpuUsage();
  say({ cpuSeconds: (user + system) / 1e6, residentBytes: process.memoryUsage.rss() });
});
