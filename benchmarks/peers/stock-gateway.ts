/**
 * A stock Apollo gateway with automatic persisted queries: `stock-gateway.ts FLAGS_URL`. It loads FleetFlag's own
 * supergraph, and asks every subgraph over HTTP at that address.
 */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { ApolloGateway, RemoteGraphQLDataSource } from '@apollo/gateway';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';

const url = process.argv[2] ?? '';
process.env['APOLLO_TELEMETRY_DISABLED'] = '1';
const gateway = new ApolloGateway({
  supergraphSdl: await readFile(
    fileURLToPath(new URL('../../gateway/composition/supergraph.graphql', import.meta.url)),
    'utf8',
  ),
  buildService: () => new RemoteGraphQLDataSource({ url }),
});
const { url: own } = await startStandaloneServer(new ApolloServer({ gateway }), {
  listen: { port: 0, host: '127.0.0.1' },
});
console.log(`LISTENING ${new URL(own).port}`);
