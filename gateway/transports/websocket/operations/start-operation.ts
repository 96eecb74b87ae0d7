/**
 * Turns a subscribe message into a running operation: takes it through the pipeline (operations/pipeline.ts), then
 * joins it to the clients with the same subscription, or runs it on its own (a query or mutation).
 */
import { randomUUID } from 'node:crypto';
import { OperationTypeNode, type FormattedExecutionResult, type GraphQLFormattedError } from 'graphql';
import type { SubscribePayload } from 'graphql-ws';
import type { LRUCache } from 'lru-cache';
import { unattended } from '../../../../core/last-handler/unattended.ts';
import { FleetFlagError } from '../../../../core/errors.ts';
import { TRACE_HEADER, traced } from '../../../../core/monitoring/tracing.ts';
import { REQUEST_ID_HEADER, requestIdOf } from '../../../../core/wire/network/request-id.ts';
import { permissionScope, type Caller, type CallerIdentity } from '../../../../core/access/caller.ts';
import type { NamingRequest } from '../../../operations/persisted-operations/operation-reference.ts';
import type { OperationText } from '../../../operations/persisted-operations/operation-texts.ts';
import type { CheckedOperation } from '../../../operations/checked-operation.ts';
import type { OperationPipeline } from '../../../operations/pipeline.ts';
import { answersTo, isFault } from '../../../operations/refusals/error-answer.ts';
import type { CrowdTurns } from './crowd-turns.ts';
import type { ClientConnection } from '../connection/client-connection.ts';
import { OpenOperation } from '../connection/open-operation.ts';
import type { Member } from '../../../subscriptions/distinct-operation.ts';
import { encodeId, type EncodedId, type FrameBatch } from '../../../subscriptions/next-frames.ts';
import type { SharedPlace, SharedOperations, SharedRequest } from '../../../subscriptions/shared-operations.ts';
import type { SubscriptionPlanner } from '../../../subscriptions/subscription-plan.ts';
import { urgencyOf, type OperationQueue, type Urgency } from './operation-queue.ts';

/** An operation as it came in a subscribe message. */
export interface OperationRequest {
  /** Empty where the operation is named instead. */
  readonly query: string;
  /** The id of a persisted operation. It is not part of graphql-ws's message, so it may be of any type. */
  readonly id?: unknown;
  readonly documentId?: unknown;
  readonly operationName?: string | undefined;
  readonly variables?: Record<string, unknown> | undefined;
  readonly extensions?: Record<string, unknown> | undefined;
}

/** Prepared subscriptions that are kept, and the longest name of one, in characters. */
export const MAX_SHARED_REQUESTS = 500;
const MAX_NAME_LENGTH = 2_000;

/** Plans subscriptions against the current schema. */
export interface CurrentPlanner {
  readonly planner: SubscriptionPlanner;
  /** Differs from one schema to the next. */
  readonly version: number;
}

/** The steps of the pipeline that an operation of a known caller takes before it runs. */
export type OperationSteps = Pick<OperationPipeline, 'name' | 'check' | 'permit' | 'governed' | 'answer'>;

/** The parts of the gateway that run the operations of websockets. */
export interface OperationServices {
  readonly steps: OperationSteps;
  readonly shared: SharedOperations;
  readonly turns: OperationQueue;
  /** The vehicles' operations that are answered from the cache: they share the check that it still holds. */
  readonly crowd: CrowdTurns;
  /** Subscriptions that were prepared, by document, variables and scope. */
  readonly sharedRequests: LRUCache<string, SharedRequest>;
  readonly maxOperationsPerSocket: number;
  readonly logger: { error(details: object, message: string): void };
  /** Counts a client that has fallen behind and skips to the newest event. */
  skipped(): void;
  current(): CurrentPlanner;
  execute(request: OperationRequest, identity: CallerIdentity): Promise<FormattedExecutionResult>;
}

/** A client's subscription among those that share it. */
class SharedSubscription extends OpenOperation implements Member {
  joinedAt = 0;
  /** The place among the shared operations; null until it has joined. */
  place: SharedPlace | null = null;
  readonly #encodedId: EncodedId;
  /** Whether events are kept from it until it has read what waits. */
  #isBehind = false;

  constructor(
    private readonly connection: ClientConnection,
    id: string,
    private readonly services: OperationServices,
  ) {
    super(id);
    this.#encodedId = encodeId(id);
  }

  end(): void {
    if (this.place !== null) this.services.shared.leave(this, this.place);
  }

  deliver(batch: FrameBatch): void {
    if (this.#isBehind) return;
    if (!this.connection.isOverfull) return this.connection.writeFrames(batch, this.#encodedId);
    if (this.place?.operation.isSkippable !== true) return this.connection.dropSlow();
    this.#isBehind = true;
    this.services.skipped();
    this.connection.fallBehind(() => {
      this.#isBehind = false;
      this.place?.operation.catchUp(this);
    });
  }

  refuse(errors: readonly GraphQLFormattedError[]): void {
    this.connection.take(this.id);
    this.connection.sendError(this.id, errors);
  }

  complete(): void {
    this.connection.take(this.id);
    this.connection.sendComplete(this.id);
  }

  /** Ends the socket after events may have been missed: the client has to connect again. */
  get socket(): ClientConnection {
    return this.connection;
  }
}

/** The connection behind a member, for a server that has to close it. */
export function connectionOfMember(member: Member): ClientConnection | null {
  return member instanceof SharedSubscription ? member.socket : null;
}

/** Ends the subscriptions of a connection with `complete`, as if no more events were to come. */
export function endSubscriptions(connection: ClientConnection): void {
  for (const operation of connection.operations()) {
    if (!(operation instanceof SharedSubscription)) continue;
    operation.end();
    operation.complete();
  }
}

/** Holds an operation's id while it is looked up or runs. */
class SingleOperation extends OpenOperation {
  ended = false;

  end(): void {
    this.ended = true;
  }
}

/** Answers an operation with what stopped it. */
function fail(
  connection: ClientConnection,
  id: string,
  error: unknown,
  { logger }: OperationServices,
  requestId: string = randomUUID(),
): void {
  const answers = answersTo(error, requestId);
  if (answers.some(isFault)) logger.error({ err: error, requestId }, 'A request failed');
  connection.take(id);
  connection.sendError(id, answers);
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
    if (connection.operationCount >= services.maxOperationsPerSocket) {
      throw new FleetFlagError('LIMIT_EXCEEDED', 'Too many operations are open on this socket.', {
        limit: services.maxOperationsPerSocket,
      });
    }
    const naming: NamingRequest = payload;
    const request: OperationRequest = {
      query: payload.query,
      id: naming.id,
      documentId: naming.documentId,
      operationName: payload.operationName ?? undefined,
      variables: payload.variables ?? undefined,
      extensions: payload.extensions ?? undefined,
    };
    const named = services.steps.name(identity.caller, () => request);
    if (named === null) return run(connection, id, request, identity.caller, services);
    startNamed(connection, id, request, named, services);
  } catch (error) {
    fail(connection, id, error, services);
  }
}

/** Queries that come after wait: what is being looked up may be a subscription that they rely on. */
function startNamed(
  connection: ClientConnection,
  id: string,
  request: OperationRequest,
  named: Promise<OperationText | null>,
  services: OperationServices,
): void {
  const holder = new SingleOperation(id);
  connection.hold(holder);
  const started = named.then((operation) => {
    const { identity } = connection;
    if (holder.ended || !connection.isOpen || identity === null) return;
    connection.take(id);
    // A vehicle may have got another partition meanwhile.
    run(connection, id, { ...request, query: operation?.body ?? request.query }, identity.caller, services);
  });
  connection.delayQueries(
    started.catch((error: unknown) => {
      if (!holder.ended) fail(connection, id, error, services);
    }),
  );
}

function run(
  connection: ClientConnection,
  id: string,
  request: OperationRequest,
  caller: Caller,
  services: OperationServices,
): void {
  const variables = request.variables ?? {};
  const checked = services.steps.check(request.query, request.operationName, caller);
  const { document, operation } = checked;
  if (operation.operation !== OperationTypeNode.SUBSCRIPTION) {
    const single = new SingleOperation(id);
    connection.hold(single);
    const urgency = urgencyOf(document, operation, variables, caller);
    const requestId = requestIdIn(request);
    const answered = traced(
      () => ({
        name: `websocket ${operation.operation}`,
        kind: 'server',
        attributes: { 'graphql.operation.type': operation.operation, 'fleetflag.request_id': requestId },
        parent: request.extensions?.[TRACE_HEADER],
      }),
      () => runSingle(connection, id, single, urgency, request, { caller, requestId }, services),
    );
    unattended(answered, 'Answering on a websocket');
    return;
  }

  const shared = sharedRequest(checked, request.operationName, variables, caller, services);
  const subscription = new SharedSubscription(connection, id, services);
  connection.hold(subscription);
  const { place, pending } = services.shared.join(subscription, shared);
  subscription.place = place;
  if (pending !== null) connection.delayQueries(pending);
}

/**
 * The result of the last steps for a subscription, and the place where it is shared. It is kept for its document,
 * variables and scope: none of them asks for more of a caller (core/access/permissions.ts), and a fleet asks the same.
 */
function sharedRequest(
  checked: CheckedOperation,
  operationName: string | undefined,
  given: Readonly<Record<string, unknown>>,
  caller: Caller,
  services: OperationServices,
): SharedRequest {
  const { planner, version } = services.current();
  const scope = permissionScope(caller);
  const documentKey = `${version}:${checked.hash}`;
  const name = JSON.stringify([documentKey, operationName, given, scope]);
  const known = services.sharedRequests.get(name);
  if (known !== undefined) return known;
  const { variables } = services.steps.permit(checked, given, caller);
  const plan = planner.plan(checked.document, operationName);
  const request = services.shared.request({ documentKey, operationName, variables, scope, plan });
  if (name.length <= MAX_NAME_LENGTH) services.sharedRequests.set(name, request);
  return request;
}

/** The id of a query or mutation: that in its extensions where it is a UUID, as in the header over HTTP. */
function requestIdIn({ extensions }: OperationRequest): string {
  const given = extensions?.[REQUEST_ID_HEADER];
  return requestIdOf({ [REQUEST_ID_HEADER]: typeof given === 'string' ? given : undefined });
}

async function runSingle(
  connection: ClientConnection,
  id: string,
  single: SingleOperation,
  { turn, isKept }: Urgency,
  request: OperationRequest,
  { caller, requestId }: { readonly caller: Caller; readonly requestId: string },
  services: OperationServices,
): Promise<void> {
  // A client that has gone meanwhile costs nothing more. But what a person has changed and left is changed: a kill
  // switch above all.
  const dropped = () => single.ended && !isKept;
  try {
    // The answer to a client that has subscribed must not be older than the beginning of its subscription
    // (docs/decisions/streams/subscribe-before-sync.md).
    for (let pending = connection.pending; turn !== 'first' && pending !== null; pending = connection.pending)
      await pending;
    // Kept answers take no turn of their own: a fleet that comes back asks for the same one.
    const governed = await governedAnswer(request, caller, services);
    if (governed === null) await services.turns.take(turn);
    if (dropped()) return;
    const json = governed ?? (await execute(connection, request, { caller, requestId }, services));
    if (single.ended) return;
    connection.take(id);
    connection.sendResult(id, json, governed !== null);
  } catch (error) {
    if (!single.ended) fail(connection, id, error, services, requestId);
  }
}

/** The answer as JSON, where revisions govern it; see the pipeline. */
async function governedAnswer(
  { query, operationName, variables = {} }: OperationRequest,
  caller: Caller,
  { steps, crowd }: OperationServices,
): Promise<Buffer | null> {
  const call = steps.governed(
    { text: query, operationName, variables: { text: () => JSON.stringify(variables), value: () => variables } },
    caller,
  );
  if (call === null) return null;
  if (caller.kind === 'vehicle') await crowd.take();
  return (await steps.answer(call, caller))?.json ?? null;
}

async function execute(
  connection: ClientConnection,
  request: OperationRequest,
  { caller, requestId }: { readonly caller: Caller; readonly requestId: string },
  services: OperationServices,
): Promise<Buffer> {
  const identity: CallerIdentity = { caller, origin: { ...connection.origin, requestId } };
  return Buffer.from(JSON.stringify(await services.execute(request, identity)));
}
