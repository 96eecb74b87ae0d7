/**
 * The gateway's WebSocket side: graphql-transport-ws over `ws`, subscriptions that cross subgraphs, and one
 * execution and one set of frames for all clients that ask the same (docs/decisions/shared-frames.md).
 */
import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ExecutionResult, GraphQLFormattedError, GraphQLSchema } from 'graphql';
import { CloseCode, handleProtocols } from 'graphql-ws';
import { WebSocket, WebSocketServer, type RawData } from 'ws';
import { unattended } from '../../../core/async/unattended.ts';
import type { Caller, CallerIdentity, RequestOrigin } from '../../../core/access/caller.ts';
import type { SubgraphConnection, SubgraphName } from '../../../core/wire/subgraph.ts';
import type { AuthenticatedCaller, OpenSockets } from '../../credentials/credentials-in-use.ts';
import type { RightOfWay } from '../../operations/turns/right-of-way.ts';
import { ClientConnection, SERVICE_RESTART, TRY_AGAIN_LATER, type ConnectionHost } from './client-connection.ts';
import { sweepConnections, sweepInterval } from './connection-sweep.ts';
import { DEFAULT_LIMITS, type SubscriptionLimits } from '../../subscriptions/subscription-limits.ts';
import { refuseUpgrade } from './refuse-upgrade.ts';
import { SharedOperations, type SharedCounts } from '../../subscriptions/shared-operations.ts';
import { spreadClose } from './spread-close.ts';
import {
  connectionOf,
  startOperation,
  type CurrentPlanner,
  type OperationRequest,
  type OperationSteps,
} from './start-operation.ts';
import { SubscriptionPlanner } from '../../subscriptions/subscription-plan.ts';
import { OperationQueue } from './operation-queue.ts';

export interface SubscriptionServerOptions {
  /** The schema in force; a new `apiSchema` object or SDL takes effect for operations that begin from then on. */
  schema(): { apiSchema: GraphQLSchema; supergraphSdl: string };
  readonly subgraphs: Readonly<Record<SubgraphName, SubgraphConnection>>;
  /**
   * Who is calling, from connection_init's payload and the upgrade request's headers. A FleetFlagError
   * UNAUTHENTICATED or FORBIDDEN closes the socket with 4403, anything else with 1013 (try again).
   */
  authenticate(
    params: Record<string, unknown>,
    request: { headers: IncomingHttpHeaders; origin: RequestOrigin },
  ): Promise<Caller | AuthenticatedCaller>;
  /** The steps that an operation takes before it runs. */
  readonly steps: OperationSteps;
  /** While kill switches have it nothing else begins. */
  readonly rightOfWay: RightOfWay;
  /** Runs a query or mutation with everything that HTTP would do to it, permissions included. */
  execute(request: OperationRequest, identity: CallerIdentity): Promise<ExecutionResult>;
  /** Makes an error of an event fit for clients. */
  maskError(error: unknown): GraphQLFormattedError;
  readonly logger: {
    info(details: object, message: string): void;
    warn(details: object, message: string): void;
    error(details: object, message: string): void;
  };
  /** Where an upgrade request came from; without it the socket's own address. */
  readonly origin?: (request: IncomingMessage) => RequestOrigin;
  readonly limits?: Partial<SubscriptionLimits>;
  /** Told of each socket of somebody known: when it is known whose it is, and when it has closed. */
  readonly presence?: { opened(caller: Caller): void; closed(caller: Caller): void };
}

export interface SubscriptionCounters extends SharedCounts {
  sockets: number;
  /** Operations open on all sockets. */
  operations: number;
  framesSent: number;
  bytesSent: number;
  /** Writes to sockets that carried frames. */
  writes: number;
  /** Sockets closed because they did not read fast enough, and because they did not answer a ping. */
  slowClosed: number;
  deadClosed: number;
  /** Sockets closed because more messages came than may. */
  rateClosed: number;
  /** Upgrades refused because of `maxSocketsPerAddress`. */
  refused: number;
}

export interface SubscriptionServer extends OpenSockets {
  /** Takes over an HTTP upgrade whose path has been checked. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  counters(): SubscriptionCounters;
  /**
   * Closes all sockets with 1012 spread over at most `spread` milliseconds, terminates what does not close, ends all
   * upstreams.
   */
  close(spread?: number): Promise<void>;
}

class GatewaySocket extends WebSocket {
  connection: ClientConnection | undefined;
}

function connectionUnder(socket: WebSocket): ClientConnection | undefined {
  return socket instanceof GatewaySocket ? socket.connection : undefined;
}

// Shared by all sockets: closures for each would cost more than the rest of a connection's state.
function onMessage(this: WebSocket, data: RawData, isBinary: boolean): void {
  connectionUnder(this)?.receive(data, isBinary);
}
function onPing(this: WebSocket): void {
  const connection = connectionUnder(this);
  if (connection?.open === true) connection.withinRate();
}
function onPong(this: WebSocket): void {
  const connection = connectionUnder(this);
  if (connection === undefined) return;
  connection.pongDue = false;
  if (connection.open) connection.withinRate();
}
function onError(): void {
  // Oversized and malformed frames: `ws` closes the socket with the code that fits (1009, 1002, 1007).
}

function originOf(request: IncomingMessage): RequestOrigin {
  return {
    ipAddress: request.socket.remoteAddress ?? null,
    userAgent: request.headers['user-agent'] ?? null,
    requestId: randomUUID(),
  };
}

/** A function that gives the planner for the schema in force, which is built once for each supergraph. */
function currentPlanner(schema: SubscriptionServerOptions['schema']): () => CurrentPlanner {
  let current: (CurrentPlanner & { readonly schema: ReturnType<typeof schema> }) | null = null;
  return () => {
    const { apiSchema, supergraphSdl } = schema();
    if (current?.schema.apiSchema !== apiSchema || current.schema.supergraphSdl !== supergraphSdl) {
      current = {
        schema: { apiSchema, supergraphSdl },
        planner: new SubscriptionPlanner(supergraphSdl),
        version: (current?.version ?? 0) + 1,
      };
    }
    return current;
  };
}

/** A WebSocket server for upgrades that the HTTP server hands over; it listens nowhere itself. */
export function createSubscriptionServer(options: SubscriptionServerOptions): SubscriptionServer {
  const limits: SubscriptionLimits = { ...DEFAULT_LIMITS, ...options.limits };
  const counters = { framesSent: 0, bytesSent: 0, writes: 0, slowClosed: 0, rateClosed: 0, deadClosed: 0, refused: 0 };
  const connections = new Set<ClientConnection>();
  const socketsByAddress = new Map<string, number>();
  /** Aborted at shutdown: sockets that wait to be closed after a lost upstream are closed then. */
  const hurry = new AbortController();
  let closing: Promise<void> | null = null;

  const shared = new SharedOperations({
    subgraphs: options.subgraphs,
    maskError: (error) => options.maskError(error),
    logger: options.logger,
    executionTimeout: limits.executionTimeout,
    limits,
    // Closing is the one signal after which every stock client connects, subscribes and asks for what it missed.
    interrupted(members) {
      const affected = new Set(members.map(connectionOf).filter((connection) => connection !== null));
      unattended(
        spreadClose([...affected], TRY_AGAIN_LATER, 'Subscription interrupted', limits.lossSpread, hurry.signal),
        'Closing the sockets of a lost subscription',
      );
    },
  });
  const services = {
    steps: options.steps,
    shared,
    turns: new OperationQueue(limits.maxWaitingReports, options.rightOfWay),
    maxOperationsPerSocket: limits.maxOperationsPerSocket,
    logger: options.logger,
    current: currentPlanner(() => options.schema()),
    execute: (request: OperationRequest, identity: CallerIdentity) => options.execute(request, identity),
  };
  // A planner takes a tenth of a second to build: not at the first client's expense.
  services.current();
  const host: ConnectionHost = {
    limits,
    counters,
    async authenticate(params, request) {
      const caller = await options.authenticate(params, request);
      return 'caller' in caller ? caller : { caller };
    },
    identified: ({ caller }) => options.presence?.opened(caller),
    start: (connection, id, payload) => startOperation(connection, id, payload, services),
    failed: (error, message) => options.logger.error({ err: error }, message),
  };

  const webSockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: limits.maxPayload,
    closeTimeout: limits.closeTimeout,
    handleProtocols,
    WebSocket: GatewaySocket,
  } as ConstructorParameters<typeof WebSocketServer>[0] & { WebSocket: typeof GatewaySocket });

  function onClose(this: WebSocket): void {
    const connection = connectionUnder(this);
    if (connection === undefined || !connections.delete(connection)) return;
    connection.release();
    if (connection.identity !== null) options.presence?.closed(connection.identity.caller);
    const address = connection.origin.ipAddress ?? '';
    const left = (socketsByAddress.get(address) ?? 1) - 1;
    if (left > 0) socketsByAddress.set(address, left);
    else socketsByAddress.delete(address);
  }

  const sweep = setInterval(() => sweepConnections(connections, limits, counters), sweepInterval(limits));
  sweep.unref();

  async function closeAll(spread: number): Promise<void> {
    hurry.abort();
    await spreadClose([...connections], SERVICE_RESTART, 'Service restart', spread);
    const closed = [...connections].map(({ socket }) => new Promise((resolve) => socket.once('close', resolve)));
    const terminate = setTimeout(() => {
      for (const { socket } of connections) socket.terminate();
    }, limits.closeTimeout);
    await Promise.all(closed);
    clearTimeout(terminate);
    clearInterval(sweep);
    shared.close();
  }

  return {
    handleUpgrade(request, socket, head) {
      if (closing !== null) return refuseUpgrade(socket, '503 Service Unavailable');
      const origin = options.origin?.(request) ?? originOf(request);
      const address = origin.ipAddress ?? '';
      const present = socketsByAddress.get(address) ?? 0;
      if (present >= limits.maxSocketsPerAddress) {
        counters.refused += 1;
        return refuseUpgrade(socket, '429 Too Many Requests');
      }
      const { headers } = request;
      webSockets.handleUpgrade(request, socket, head, (webSocket) => {
        webSocket.on('error', onError);
        if (webSocket.protocol === '')
          return webSocket.close(CloseCode.SubprotocolNotAcceptable, 'Subprotocol not acceptable');
        const connection = new ClientConnection(webSocket, socket, origin, headers, host);
        webSocket.connection = connection;
        connections.add(connection);
        socketsByAddress.set(address, (socketsByAddress.get(address) ?? 0) + 1);
        webSocket.on('message', onMessage);
        webSocket.on('ping', onPing);
        webSocket.on('pong', onPong);
        webSocket.on('close', onClose);
      });
    },
    counters() {
      let operations = 0;
      for (const connection of connections) operations += connection.operations.size;
      return { ...counters, ...shared.counts(), sockets: connections.size, operations };
    },
    *identities() {
      for (const { identity, open } of connections) if (identity !== null && open) yield identity;
    },
    disconnect(concerned) {
      let count = 0;
      for (const connection of connections) {
        if (connection.identity === null || !connection.open || !concerned(connection.identity)) continue;
        connection.close(CloseCode.Forbidden, 'Forbidden');
        count += 1;
      }
      return count;
    },
    close(spread = 3_000) {
      closing ??= closeAll(spread);
      return closing;
    },
  };
}
