/** The services that a connection has of its server, and the codes with which it closes. */
import type { IncomingHttpHeaders } from 'node:http';
import type { SubscribePayload } from 'graphql-ws';
import type { RequestOrigin } from '../../../../core/access/caller.ts';
import type { AuthenticatedCaller } from '../../../credentials/credentials-in-use.ts';
import type { SubscriptionLimits } from '../../../subscriptions/subscription-limits.ts';
import type { ClientConnection } from './client-connection.ts';

/** The close code of RFC 6455 for a gateway that stops. Clients of graphql-ws connect again after it. */
export const SERVICE_RESTART = 1012;
/** The close code of RFC 6455 for an overload or a loss. Clients of graphql-ws connect again after it. */
export const TRY_AGAIN_LATER = 1013;

/** The origin of a websocket. Unlike a request it has no id of its own: each of its operations has one. */
export type ConnectionOrigin = Omit<RequestOrigin, 'requestId'>;

/** The counts of all connections since the start. */
export interface ConnectionCounters {
  framesSent: number;
  bytesSent: number;
  writes: number;
  slowClosed: number;
  rateClosed: number;
  /** Operations open on all sockets. */
  operations: number;
}

/** The services that all connections of a server share. */
export interface ConnectionHost {
  readonly limits: SubscriptionLimits;
  readonly counters: ConnectionCounters;
  /** The milliseconds in which the process was able to serve (deadline-wheel.ts). */
  nowMs(): number;
  authenticate(
    params: Record<string, unknown>,
    request: { headers: IncomingHttpHeaders; origin: ConnectionOrigin },
  ): Promise<AuthenticatedCaller>;
  /** Called once the client is authenticated; `closed` follows at some time. */
  identified(connection: ClientConnection, identity: AuthenticatedCaller): void;
  /** Schedules a check of a connection in `inMs` milliseconds. */
  checkAgain(connection: ClientConnection, inMs: number): void;
  /** Called once, when the socket has closed. */
  closed(connection: ClientConnection): void;
  /** Begins `payload`; where it lasts, the connection holds it from then on. Must not throw. */
  start(connection: ClientConnection, id: string, payload: SubscribePayload): void;
  failed(error: unknown, message: string): void;
}
