/** The connection to the public GraphQL API: operations over HTTP, subscriptions over one websocket. */
import { Client, createRequest, fetchExchange, subscriptionExchange } from '@urql/core';
import { createClient } from 'graphql-ws';
import { createStore } from '../store.ts';
import { PermissionsDocument } from '../generated/operations.ts';
import { currentToken, noteEnd } from '../session/session.ts';
import { noteAnswer } from './clock.ts';
import { NO_ANSWER, faultOf, type Fault } from './fault.ts';

const ENDPOINT = '/graphql';
/** The close codes that say that the credentials are not accepted (docs/guides/dashboards.md). */
const REFUSED = [4401, 4403];
const FORBIDDEN = 4403;
/** The longest wait between two attempts to connect, in milliseconds. */
const LONGEST_WAIT_MS = 10_000;

/** The longest wait for the answer to a change, in milliseconds. The control plane lets none wait as long as that. */
const LONGEST_ANSWER_MS = 45_000;

/** Whether changes arrive as they happen. */
export const connection = createStore<'connecting' | 'live' | 'lost'>('connecting');

let tokenOfSocket: string | null = null;
const closeCode = (event: unknown) => (event instanceof CloseEvent ? event.code : 0);

const socket = createClient({
  url: `${location.protocol.replace('http', 'ws')}//${location.host}${ENDPOINT}`,
  connectionParams() {
    tokenOfSocket = currentToken();
    return tokenOfSocket === null ? {} : { authorization: `Bearer ${tokenOfSocket}` };
  },
  retryAttempts: Number.POSITIVE_INFINITY,
  shouldRetry: () => currentToken() !== null,
  // Half of the wait is drawn, so that the consoles of a control room do not come back all at once.
  retryWait: async (retries) => {
    const longest = Math.min(LONGEST_WAIT_MS, 500 * 2 ** Math.min(retries, 8));
    await new Promise((resolve) => setTimeout(resolve, longest * (0.5 + Math.random() / 2)));
  },
  keepAlive: 12_000,
  on: {
    connected: () => connection.set('live'),
    closed(event) {
      connection.set('lost');
      if (REFUSED.includes(closeCode(event))) checkSession(closeCode(event)).catch(reportError);
    },
  },
});

/**
 * Notes the end of the session after the socket was refused. A 4403 may also be about the session before this one, so
 * the control plane is asked, and the socket connects again meanwhile.
 */
async function checkSession(code: number): Promise<void> {
  if (code === FORBIDDEN) await ask(PermissionsDocument, {});
  else noteEnd(tokenOfSocket);
}

const client = new Client({
  url: ENDPOINT,
  preferGetMethod: false,
  fetch: async (input, init) => {
    const answer = await fetch(input, init);
    noteAnswer(answer.headers.get('date'));
    return answer;
  },
  fetchOptions: () => {
    const token = currentToken();
    return token === null ? {} : { headers: { authorization: `Bearer ${token}` } };
  },
  exchanges: [
    // Nothing is answered from a cache: who decides about a fleet sees what is, or that it cannot be seen.
    fetchExchange,
    subscriptionExchange({
      forwardSubscription: ({ query = '', variables }) => ({
        subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables: variables ?? {} }, sink) }),
      }),
    }),
  ],
});

/** An operation with the types of its result and variables, as `npm run generate` writes it. */
export interface Operation<Result, Variables> {
  toString(): string;
  __apiType?: (variables: Variables) => Result;
}

export type Answer<Result> =
  | { readonly data: Result; readonly fault: null }
  | { readonly data: null; readonly fault: Fault };

interface Sent<Result> {
  readonly data?: Result | undefined;
  readonly error?: Parameters<typeof faultOf>[0] | undefined;
}

function answerOf<Result>({ data, error }: Sent<Result>, token: string | null): Answer<Result> {
  const fault = error === undefined ? null : faultOf(error);
  if (fault?.code === 'UNAUTHENTICATED') noteEnd(token);
  if (fault !== null) return { data: null, fault };
  if (data === undefined) throw new Error('The control plane answered with neither data nor errors.');
  return { data, fault: null };
}

type Values = Record<string, unknown>;

const valuesOf = (variables: object): Values => Object.fromEntries(Object.entries(variables));

/**
 * Sends an operation and resolves to its data or its fault. No cache answers. Rejects for an answer that has neither.
 */
export async function ask<Result, Variables extends object>(
  operation: Operation<Result, Variables>,
  variables: Variables,
): Promise<Answer<Result>> {
  const token = currentToken();
  const request = createRequest<Result, Values>(operation.toString(), valuesOf(variables));
  const source = client.executeQuery(request, { requestPolicy: 'network-only' });
  return answerOf(await source.toPromise(), token);
}

/** Sends a mutation. A network that swallows it gives a fault in the end, so that the form can be sent again. */
export async function change<Result, Variables extends object>(
  operation: Operation<Result, Variables>,
  variables: Variables,
): Promise<Answer<Result>> {
  const token = currentToken();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), LONGEST_ANSWER_MS);
  });
  const sent = client.mutation<Result, Values>(operation.toString(), valuesOf(variables)).toPromise();
  const answer = await Promise.race([sent, silence]);
  clearTimeout(timer);
  return answer === null ? { data: null, fault: NO_ANSWER } : answerOf(answer, token);
}

/** Subscribes. Gives the function that ends it. After a lost connection it goes on, without what happened meanwhile. */
export function follow<Result, Variables extends object>(
  operation: Operation<Result, Variables>,
  variables: Variables,
  take: (data: Result) => void,
): () => void {
  const source = client.subscription<Result, Values>(operation.toString(), valuesOf(variables));
  const subscription = source.subscribe(({ data }) => {
    if (data !== undefined) take(data);
  });
  return () => subscription.unsubscribe();
}

/** Closes the websocket, so that the next subscription connects with the present session. */
export function closeSocket(): void {
  socket.terminate();
}
