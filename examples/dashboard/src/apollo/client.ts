import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client';
import { SetContextLink } from '@apollo/client/link/context';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode } from 'graphql';
import { HTTP_URL, socket } from '../control-plane.ts';
import type { FlagsQuery } from '../generated/operations.ts';
import { credentials } from '../session.ts';

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

type List = FlagsQuery['flags'];

const http = new HttpLink({ uri: HTTP_URL });

export const client = new ApolloClient({
  link: ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(socket),
    ApolloLink.from([
      new SetContextLink(() => ({ headers: credentials() })),
      // Only queries are sent as the hash of their text. That needs a session, and the mutation `login` has none yet.
      ApolloLink.split(
        ({ operationType }) => operationType === OperationTypeNode.QUERY,
        new PersistedQueryLink({ sha256, useGETForHashedQueries: true }).concat(http),
        http,
      ),
    ]),
  ),
  cache: new InMemoryCache({
    typePolicies: {
      // A flag is known by its key: what a mutation or an event brings is shown wherever the flag is shown.
      Flag: { keyFields: ['key'] },
      Query: {
        fields: {
          flags: {
            keyArgs: ['filter', 'orderBy'],
            merge: (before: List | undefined, page: List, { args }): List => ({
              ...page,
              nodes: args?.['after'] == null ? page.nodes : [...(before?.nodes ?? []), ...page.nodes],
            }),
          },
        },
      },
    },
  }),
});
