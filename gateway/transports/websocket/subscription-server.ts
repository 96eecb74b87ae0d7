/**
 * The gateway's WebSocket side: graphql-transport-ws, subscriptions that cross subgraphs, and one execution and one set
 * of frames for all clients that ask the same (docs/decisions/streams/shared-frames.md).
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FormattedExecutionResult, GraphQLFormattedError, GraphQLSchema } from 'graphql';
import { CloseCode, GRAPHQL_TRANSPORT_WS_PROTOCOL } from 'graphql-ws';
import { boundedCache } from '../../../core/bounded-cache.ts';
import { unattended } from '../../../core/last-handler/unattended.ts';
import type { Caller, CallerIdentity } from '../../../core/access/caller.ts';
import { AGENT_NAME } from '../../../core/wire/network/agent-name.ts';
import type { SubgraphConnection, SubgraphName } from '../../../core/wire/subgraph/subgraph.ts';
import type { AuthenticatedCaller, OpenSockets } from '../../credentials/credentials-in-use.ts';
import type { VehicleSockets } from '../../partitions/moved-vehicles.ts';
import type { RightOfWay } from '../../operations/turns/right-of-way.ts';
import type { SharedLimits } from '../../operations/turns/shared-limits.ts';
import { HandshakeAdmission } from './admission/admission.ts';
import { ClientConnection } from './connection/client-connection.ts';
import {
  SERVICE_RESTART,
  TRY_AGAIN_LATER,
  type ConnectionHost,
  type ConnectionOrigin,
} from './connection/connection-host.ts';
import { enforceDeadlines, tickOf } from './connection/connection-deadlines.ts';
import { CrowdTurns } from './operations/crowd-turns.ts';
import { DeadlineWheel } from './connection/deadline-wheel.ts';
import { acceptance, readHandshake } from './framing/handshake.ts';
import { ServerSocket } from './framing/server-socket.ts';
import { OpenFiles } from './open-files.ts';
import { DEFAULT_LIMITS, type SubscriptionLimits } from '../../subscriptions/subscription-limits.ts';
import { closeAtOnce, refuseUpgrade } from './admission/refuse-upgrade.ts';
import { SharedOperations, type SharedCounts, type SharedRequest } from '../../subscriptions/shared-operations.ts';
import { SocketsByAddress } from './admission/sockets-by-address.ts';
import { spreadClose } from './connection/spread-close.ts';
import {
  MAX_SHARED_REQUESTS,
  connectionOfMember,
  endSubscriptions,
  startOperation,
  type CurrentPlanner,
  type OperationRequest,
  type OperationSteps,
} from './operations/start-operation.ts';
import { SubscriptionPlanner } from '../../subscriptions/subscription-plan.ts';
import { OperationQueue } from './operations/operation-queue.ts';

/** The parts of the gateway that the server uses, and its limits. */
export interface SubscriptionServerOptions {
  /** The schema in force; a new `apiSchema` object or SDL takes effect for operations that begin from then on. */
  schema(): { apiSchema: GraphQLSchema; supergraphSdl: string };
  readonly subgraphs: Readonly<Record<SubgraphName, SubgraphConnection>>;
  /**
   * Identifies the caller, from connection_init's payload and the upgrade request's headers. A FleetFlagError
   * UNAUTHENTICATED or FORBIDDEN closes the socket with 4403, anything else with 1013 (try again).
   */
  authenticate(
    params: Record<string, unknown>,
    request: { headers: IncomingHttpHeaders; origin: ConnectionOrigin },
  ): Promise<Caller | AuthenticatedCaller>;
  /** The steps that an operation takes before it runs. */
  readonly steps: OperationSteps;
  /** The right of way of kill switches. While they have it, no other operation begins. */
  readonly rightOfWay: RightOfWay;
  /** Runs a query or mutation with everything that HTTP would do to it, permissions included. */
  execute(request: OperationRequest, identity: CallerIdentity): Promise<FormattedExecutionResult>;
  /** Makes an error of an event fit for clients. */
  maskError(error: unknown): GraphQLFormattedError;
  readonly logger: {
    info(details: object, message: string): void;
    warn(details: object, message: string): void;
    error(details: object, message: string): void;
  };
  /** Gives the origin of an upgrade request; without it the socket's own address. */
  readonly origin?: (request: IncomingMessage) => ConnectionOrigin;
  readonly limits?: Partial<SubscriptionLimits>;
  /** The limits that are shared with the other gateways on the port, if there are any. */
  readonly sharedLimits?: SharedLimits;
  /** Limits the handshakes while many come at once. */
  readonly admission?: Pick<HandshakeAdmission, 'admit' | 'finish' | 'tick'>;
  /** Called when a change has been written to all clients of a distinct subscription. */
  readonly delivered?: (changedAtMs: number) => void;
  /** Notified of each authenticated socket: when its caller is known, and when it has closed. */
  readonly presence?: { opened(caller: Caller): void; closed(caller: Caller): void };
}

/** The counts of a server, for monitoring. */
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
  /** Upgrades put off because more came than the process can serve in a few seconds, or hold. */
  putOff: number;
  /** Times that a client did not keep up and was sent the newest event instead of all. */
  skips: number;
  /** Queries and mutations that wait for their turn. */
  waitingOperations: number;
  /** Bytes that wait in this process for clients to read them. */
  waitingBytes: number;
}

/** Serves graphql-transport-ws to clients. */
export interface SubscriptionServer extends OpenSockets, VehicleSockets {
  /** Takes over an HTTP upgrade whose path has been checked. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  counters(): SubscriptionCounters;
  /**
   * Closes all sockets with 1012 spread over at most `spread` milliseconds, terminates what does not close, ends all
   * upstreams.
   */
  close(spread?: number): Promise<void>;
}

function originOf(request: IncomingMessage): ConnectionOrigin {
  return { ipAddress: request.socket.remoteAddress ?? null, userAgent: request.headers['user-agent'] ?? null };
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
  const counters = {
    ...{ framesSent: 0, bytesSent: 0, writes: 0, operations: 0, skips: 0 },
    ...{ slowClosed: 0, rateClosed: 0, deadClosed: 0, refused: 0, putOff: 0 },
  };
  const admission = options.admission ?? new HandshakeAdmission();
  const openFiles = new OpenFiles(options.logger);
  const connections: DeadlineWheel<ClientConnection> = new DeadlineWheel(
    tickOf(limits),
    (connection) => enforceDeadlines(connection, limits, counters, connections.nowMs),
    () => admission.tick(),
  );
  const socketsByAddress = new SocketsByAddress(limits.maxSocketsPerAddress, options.sharedLimits);
  /** Aborted at shutdown: sockets that wait to be closed after a lost upstream are closed then. */
  const hurry = new AbortController();
  let closing: Promise<void> | null = null;
  /** Called when the last socket has closed. */
  let emptied = (): void => undefined;

  const shared = new SharedOperations({
    subgraphs: options.subgraphs,
    maskError: (error) => options.maskError(error),
    logger: options.logger,
    executionTimeoutMs: limits.executionTimeoutMs,
    limits,
    delivered: options.delivered,
    // Closing is the one signal after which every stock client connects, subscribes and asks for what it missed.
    interrupted(members) {
      const affected = new Set(members.map(connectionOfMember).filter((connection) => connection !== null));
      unattended(
        spreadClose([...affected], TRY_AGAIN_LATER, 'Subscription interrupted', limits.lossSpreadMs, hurry.signal),
        'Closing the sockets of a lost subscription',
      );
    },
  });
  const services = {
    steps: options.steps,
    shared,
    turns: new OperationQueue(limits.maxWaitingReports, options.rightOfWay),
    crowd: new CrowdTurns(),
    sharedRequests: boundedCache<string, SharedRequest>(MAX_SHARED_REQUESTS),
    maxOperationsPerSocket: limits.maxOperationsPerSocket,
    logger: options.logger,
    skipped: () => void (counters.skips += 1),
    current: currentPlanner(() => options.schema()),
    execute: (request: OperationRequest, identity: CallerIdentity) => options.execute(request, identity),
  };
  // A planner takes a tenth of a second to build: not at the first client's expense.
  services.current();
  const host: ConnectionHost = {
    limits,
    counters,
    nowMs: () => connections.nowMs,
    async authenticate(params, request) {
      const caller = await options.authenticate(params, request);
      return 'caller' in caller ? caller : { caller };
    },
    identified(connection, { caller }) {
      options.presence?.opened(caller);
      admission.finish(connection.admittedAt, true);
      connections.schedule(connection, 0);
    },
    checkAgain: (connection, inMs) => connections.schedule(connection, inMs),
    closed(connection) {
      connections.delete(connection);
      if (connection.identity !== null) options.presence?.closed(connection.identity.caller);
      else admission.finish(connection.admittedAt, false);
      socketsByAddress.delete(connection.origin.ipAddress ?? '');
      if (connections.size === 0) emptied();
    },
    start: (connection, id, payload) => startOperation(connection, id, payload, services),
    failed: (error, message) => options.logger.error({ err: error }, message),
  };

  async function closeAll(spread: number): Promise<void> {
    hurry.abort();
    await spreadClose([...connections], SERVICE_RESTART, 'Service restart', spread);
    const closed = new Promise<void>((resolve) => (emptied = resolve));
    if (connections.size > 0) await closed;
    connections.stop();
    shared.close();
  }

  return {
    handleUpgrade(request, socket, head) {
      if (closing !== null) return refuseUpgrade(socket, '503 Service Unavailable');
      const origin = options.origin?.(request) ?? originOf(request);
      const address = origin.ipAddress ?? '';
      if (!socketsByAddress.hasRoom(address)) {
        counters.refused += 1;
        return refuseUpgrade(socket, '429 Too Many Requests');
      }
      const handshake = readHandshake(request);
      if ('status' in handshake) return refuseUpgrade(socket, handshake.status, handshake.reason, handshake.fields);
      const isSpoken = handshake.protocols.includes(GRAPHQL_TRANSPORT_WS_PROTOCOL);
      const accepted = () => acceptance(handshake.key, isSpoken ? GRAPHQL_TRANSPORT_WS_PROTOCOL : null);
      const putOff = (seconds: number, reason: string) => {
        counters.putOff += 1;
        if (request.headers['user-agent']?.startsWith(AGENT_NAME) !== true)
          return closeAtOnce(socket, accepted(), TRY_AGAIN_LATER, 'Try again later');
        const fields = `Retry-After: ${seconds}\r\n`;
        refuseUpgrade(socket, '503 Service Unavailable', `${reason}; try again in ${seconds} s.`, fields);
      };
      const untilFiles = openFiles.secondsToWait(socket);
      if (untilFiles !== null) return putOff(untilFiles, 'This gateway has as many connections as it can hold');
      const admitted = admission.admit();
      if (typeof admitted === 'number')
        return putOff(admitted, 'More vehicles are connecting than this gateway can serve at once');
      // Gone already.
      if (!socket.readable || !socket.writable) {
        admission.finish(admitted.admittedAt, false);
        return void socket.destroy();
      }
      socket.write(accepted());
      const webSocket = new ServerSocket(socket, limits.maxPayload);
      const connection = new ClientConnection(webSocket, origin, request.headers, admitted.admittedAt, host);
      connections.schedule(connection, limits.connectionInitTimeoutMs);
      socketsByAddress.add(address);
      webSocket.attach(connection, head);
      if (!isSpoken) connection.close(CloseCode.SubprotocolNotAcceptable, 'Subprotocol not acceptable');
    },
    counters() {
      let waitingBytes = 0;
      for (const connection of connections) waitingBytes += connection.waitingBytes;
      const waitingOperations = services.turns.waiting;
      return { ...counters, ...shared.counts(), sockets: connections.size, waitingOperations, waitingBytes };
    },
    *identities() {
      for (const { identity, isOpen } of connections) if (identity !== null && isOpen) yield identity;
    },
    *vehicles() {
      for (const { identity, isOpen } of connections)
        if (identity?.caller.kind === 'vehicle' && isOpen) yield identity.caller;
    },
    move(partitionOf) {
      let count = 0;
      for (const connection of connections) {
        const { identity } = connection;
        if (identity?.caller.kind !== 'vehicle' || !connection.isOpen) continue;
        const { caller } = identity;
        const partition = partitionOf(caller);
        if (partition === undefined || caller.partition === partition) continue;
        connection.identity = { ...identity, caller: { ...caller, partition } };
        endSubscriptions(connection);
        count += 1;
      }
      return count;
    },
    disconnect(concerned) {
      let count = 0;
      for (const connection of connections) {
        if (connection.identity === null || !connection.isOpen || !concerned(connection.identity)) continue;
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
