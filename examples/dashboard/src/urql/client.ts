import { Client, fetchExchange, subscriptionExchange } from 'urql';
import { HTTP_URL, socket } from '../control-plane.ts';
import { credentials } from '../session.ts';

export const client = new Client({
  url: HTTP_URL,
  preferGetMethod: false,
  fetchOptions: () => ({ headers: credentials() }),
  // No cacheExchange: the page keeps the list itself, and events change it.
  exchanges: [
    fetchExchange,
    subscriptionExchange({
      forwardSubscription: ({ query = '', variables }) => ({
        subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables: variables ?? {} }, sink) }),
      }),
    }),
  ],
});
