/** The control plane's address, and one websocket for all subscriptions. */
import { createClient } from 'graphql-ws';
import { credentials, keepToken } from './session.ts';

const origin = document.querySelector<HTMLMetaElement>('meta[name=control-plane]')?.content ?? location.origin;

export const HTTP_URL = `${origin}/graphql`;

/** Whether a socket was closed because its session is not accepted, or no longer. */
const isSessionEnd = (event: unknown) => event instanceof CloseEvent && [4401, 4403].includes(event.code);

export const socket = createClient({
  url: HTTP_URL.replace(/^http/, 'ws'),
  connectionParams: credentials,
  retryAttempts: Number.POSITIVE_INFINITY,
  shouldRetry: (event) => !isSessionEnd(event),
  on: {
    closed(event) {
      if (isSessionEnd(event)) keepToken(null);
    },
  },
});
