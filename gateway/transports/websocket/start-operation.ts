/**
 * From a subscribe message to an operation that runs: prepared, permitted, then joined to those who asked the same
 * (a subscription) or run on its own (a query or mutation).
 */
import { randomUUID } from 'node:crypto';
import {
  getOperationAST,
  getVariableValues,
  GraphQLError,
  OperationTypeNode,
  type DocumentNode,
  type ExecutionResult,
  type GraphQLFormattedError,
  type GraphQLSchema,
} from 'graphql';
import type { SubscribePayload } from 'graphql-ws';
import { unattended } from '../../../core/async/unattended.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import { permissionScope, type Caller, type CallerIdentity } from '../../../core/access/caller.ts';
import type { NamingRequest } from '../../operations/persisted-operations/operation-reference.ts';
import type { ClientConnection, OpenOperation } from './client-connection.ts';
import type { Member } from '../../subscriptions/distinct-operation.ts';
import type { DocumentCache, PreparedDocument } from '../../operations/limits/document-cache.ts';
import type { MaskError } from '../../subscriptions/event-execution.ts';
import { encodeId, type EncodedId, type FrameBatch } from '../../subscriptions/next-frames.ts';
import type { Place, SharedOperations } from '../../subscriptions/shared-operations.ts';
import type { SubscriptionPlanner } from '../../subscriptions/subscription-plan.ts';
import { urgencyOf, type OperationQueue, type Urgency } from './operation-queue.ts';

/** An operation as it came in a subscribe message. */
export interface OperationRequest {
  /** Empty where the operation is named instead. */
  readonly query: string;
  /** Of a persisted operation; not part of graphql-ws's message, so of any type. */
  readonly id?: unknown;
  readonly documentId?: unknown;
  readonly operationName?: string | undefined;
  readonly variables?: Record<string, unknown> | undefined;
  readonly extensions?: Record<string, unknown> | undefined;
}

export interface ParsedOperation {
  readonly document: DocumentNode;
  readonly operationName?: string | undefined;
  readonly variables: Record<string, unknown>;
}

/** The schema that operations run against now. */
export interface CurrentSchema {
  readonly apiSchema: GraphQLSchema;
  readonly planner: SubscriptionPlanner;
  /** Differs from one schema to the next. */
  readonly version: number;
}

export interface OperationServices {
  readonly documents: DocumentCache;
  readonly shared: SharedOperations;
  readonly turns: OperationQueue;
  readonly maxOperationsPerSocket: number;
  /** See SubscriptionServerOptions. */
  readonly introspection: boolean;
  schema(): CurrentSchema;
  authorize(operation: ParsedOperation, caller: Caller): void;
  execute(request: OperationRequest, identity: CallerIdentity): Promise<ExecutionResult>;
  /** Gives the text that a request names, where it names one; see SubscriptionServerOptions. */
  readonly resolveOperation?:
    ((request: OperationRequest, caller: Caller) => Promise<OperationRequest> | null) | undefined;
  readonly maskError: MaskError;
}

/** A client's subscription among those that share it. */
class SharedSubscription implements OpenOperation, Member {
  place: Place | null = null;
  private readonly encodedId: EncodedId;

  constructor(
    private readonly connection: ClientConnection,
    private readonly id: string,
    private readonly shared: SharedOperations,
  ) {
    this.encodedId = encodeId(id);
  }

  end(): void {
    if (this.place !== null) this.shared.leave(this, this.place);
  }

  deliver(batch: FrameBatch): void {
    this.connection.writeFrames(batch, this.encodedId);
  }

  refuse(errors: readonly GraphQLFormattedError[]): void {
    this.connection.operations.delete(this.id);
    this.connection.sendError(this.id, errors);
  }

  complete(): void {
    this.connection.operations.delete(this.id);
    this.connection.sendComplete(this.id);
  }

  /** Where events may have been missed: the whole socket has to come again. */
  get socket(): ClientConnection {
    return this.connection;
  }
}

/** The connection behind a member, for a server that has to close it. */
export function connectionOf(member: Member): ClientConnection | null {
  return member instanceof SharedSubscription ? member.socket : null;
}

/** Holds an operation's id while it is looked up or runs. */
class SingleOperation implements OpenOperation {
  ended = false;

  end(): void {
    this.ended = true;
  }
}

/** Errors of GraphQL itself in a document or its variables. */
class RefusedDocument extends Error {
  readonly errors: readonly GraphQLError[];

  /** @param code Apollo Server's code for such errors, so that they are told apart and masked as over HTTP */
  constructor(
    errors: readonly GraphQLError[],
    code: 'GRAPHQL_PARSE_FAILED' | 'GRAPHQL_VALIDATION_FAILED' | 'BAD_USER_INPUT',
    readonly document: DocumentNode | undefined,
  ) {
    super('The document is not valid.');
    this.errors = errors.map(
      ({ message, nodes, source, positions, extensions, originalError }) =>
        new GraphQLError(message, { nodes, source, positions, originalError, extensions: { ...extensions, code } }),
    );
  }
}

/** The prepared document, when it may run. */
function documentOf({ document, errors }: PreparedDocument): DocumentNode {
  if (document === null) throw new RefusedDocument(errors, 'GRAPHQL_PARSE_FAILED', undefined);
  if (errors.length > 0) throw new RefusedDocument(errors, 'GRAPHQL_VALIDATION_FAILED', document);
  return document;
}

function fail(connection: ClientConnection, id: string, error: unknown, maskError: MaskError): void {
  connection.operations.delete(id);
  connection.sendError(
    id,
    error instanceof RefusedDocument ? error.errors.map((each) => maskError(each, error.document)) : [maskError(error)],
  );
}

/**
 * Begins the operation of a subscribe message on an acknowledged connection. Never throws; refusals go to the client.
 */
export function startOperation(
  connection: ClientConnection,
  id: string,
  payload: SubscribePayload,
  services: OperationServices,
): void {
  try {
    const identity = connection.identity;
    if (identity === null) throw new FleetFlagError('UNAUTHENTICATED', 'The connection is not initialised.');
    if (connection.operations.size >= services.maxOperationsPerSocket) {
      throw new FleetFlagError('LIMIT_EXCEEDED', 'Too many operations are open on this socket.', {
        limit: services.maxOperationsPerSocket,
      });
    }
    const request: OperationRequest = {
      query: payload.query,
      id: (payload as NamingRequest).id,
      documentId: (payload as NamingRequest).documentId,
      operationName: payload.operationName ?? undefined,
      variables: payload.variables ?? undefined,
      extensions: payload.extensions ?? undefined,
    };
    const resolved = services.resolveOperation?.(request, identity.caller) ?? null;
    if (resolved === null) return run(connection, id, request, identity.caller, services);
    startResolved(connection, id, resolved, identity.caller, services);
  } catch (error) {
    fail(connection, id, error, services.maskError);
  }
}

/** Queries that come after wait: what is being looked up may be a subscription that they rely on. */
function startResolved(
  connection: ClientConnection,
  id: string,
  resolved: Promise<OperationRequest>,
  caller: Caller,
  services: OperationServices,
): void {
  const holder = new SingleOperation();
  connection.operations.set(id, holder);
  const started = resolved.then((request) => {
    if (holder.ended || !connection.open) return;
    connection.operations.delete(id);
    run(connection, id, request, caller, services);
  });
  hold(
    connection,
    started.catch((error: unknown) => {
      if (!holder.ended) fail(connection, id, error, services.maskError);
    }),
  );
}

function hold(connection: ClientConnection, until: Promise<void>): void {
  connection.pending.add(until);
  unattended(
    until.then(() => connection.pending.delete(until)),
    'Waiting for a subscription to stand',
  );
}

function run(
  connection: ClientConnection,
  id: string,
  request: OperationRequest,
  caller: Caller,
  services: OperationServices,
): void {
  const { apiSchema, planner, version } = services.schema();
  const prepared = services.documents.prepare(request.query, apiSchema);
  const document = documentOf(prepared);
  const operation = getOperationAST(document, request.operationName);
  if (operation == null)
    throw new FleetFlagError('BAD_USER_INPUT', 'Unable to identify operation', { field: 'operationName' });
  if (operation.operation !== OperationTypeNode.SUBSCRIPTION) {
    const single = new SingleOperation();
    connection.operations.set(id, single);
    unattended(
      runSingle(
        connection,
        id,
        single,
        urgencyOf(document, operation, request.variables ?? {}, caller),
        request,
        caller,
        services,
      ),
      'Answering on a websocket',
    );
    return;
  }

  const { coerced, errors } = getVariableValues(
    apiSchema,
    operation.variableDefinitions ?? [],
    request.variables ?? {},
    { maxErrors: 1, hideSuggestions: !services.introspection },
  );
  if (errors !== undefined) throw new RefusedDocument(errors, 'BAD_USER_INPUT', document);
  services.authorize({ document, operationName: request.operationName, variables: coerced }, caller);
  const planKey = request.operationName ?? '';
  let plan = prepared.plans.get(planKey);
  if (plan === undefined) {
    plan = planner.plan(document, request.operationName);
    prepared.plans.set(planKey, plan);
  }
  const subscription = new SharedSubscription(connection, id, services.shared);
  connection.operations.set(id, subscription);
  const { place, pending } = services.shared.join(subscription, {
    documentKey: `${version}:${prepared.hash}`,
    operationName: request.operationName,
    variables: coerced,
    scope: permissionScope(caller),
    plan,
  });
  subscription.place = place;
  if (pending !== null) hold(connection, pending);
}

async function runSingle(
  connection: ClientConnection,
  id: string,
  single: SingleOperation,
  { turn, isKept }: Urgency,
  request: OperationRequest,
  caller: Caller,
  services: OperationServices,
): Promise<void> {
  // Whoever has gone meanwhile costs nothing more. But what a person has changed and left is changed: a kill switch
  // above all.
  const dropped = () => single.ended && !isKept;
  try {
    // What a client reads after it has subscribed must not be older than the beginning of its subscription
    // (docs/decisions/subscribe-before-sync.md).
    while (turn !== 'first' && connection.pending.size > 0) await Promise.all(connection.pending);
    await services.turns.take(turn);
    if (dropped()) return;
    const identity: CallerIdentity = { caller, origin: { ...connection.origin, requestId: randomUUID() } };
    const result = await services.execute(request, identity);
    if (single.ended) return;
    connection.operations.delete(id);
    connection.sendResult(id, result);
  } catch (error) {
    if (!single.ended) fail(connection, id, error, services.maskError);
  }
}
