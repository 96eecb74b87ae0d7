/**
 * Shares subscriptions. Clients with the same document, variables and permission scope share one execution for each
 * event. Operations with the same request to the owning subgraph share one upstream.
 */
import { randomUUID } from 'node:crypto';
import type { GraphQLFormattedError } from 'graphql';
import type { Caller } from '../../core/access/caller.ts';
import { canonicalJson } from '../../core/json/canonical-json.ts';
import { DistinctOperation, type Member } from './distinct-operation.ts';
import { executeEvent, type ExecutionServices } from './event-execution.ts';
import { FanOutTurns } from './fan-out-turns.ts';
import type { SubscriptionLimits } from './subscription-limits.ts';
import type { SubscriptionPlan } from './subscription-plan.ts';
import { Upstream, type UpstreamEnd } from './upstream.ts';

/** The parts of a request for a shared operation. */
export interface SharedOperation {
  /** A key that is different for each document and schema. */
  readonly documentKey: string;
  readonly operationName: string | undefined;
  /** The coerced values of the declared variables. */
  readonly variables: Record<string, unknown>;
  readonly scope: Caller;
  readonly plan: SubscriptionPlan;
}

/** A request for a shared operation, with where it is shared. Clients with the same request may use the same object. */
export interface SharedRequest extends SharedOperation {
  readonly upstreamKey: string;
  readonly operationKey: string;
  /** The variables that the primary uses. */
  readonly used: Record<string, unknown>;
}

/** The options of shared operations. */
export interface SharedOperationsOptions extends ExecutionServices {
  readonly limits: SubscriptionLimits;
  readonly logger: { warn(details: object, message: string): void; error(details: object, message: string): void };
  /** Called when a change has been written to all clients of a distinct operation. */
  readonly delivered?: ((changedAtMs: number) => void) | undefined;
  /** Called with members that may have missed an event, or are about to. */
  interrupted(members: readonly Member[]): void;
}

/** The numbers of open upstreams and operations, and the totals of their events, for monitoring. */
export interface SharedCounts {
  upstreams: number;
  distinctOperations: number;
  /** Events that wait to be executed or sent, over all distinct operations. */
  waitingEvents: number;
  upstreamEvents: number;
  executions: number;
  upstreamsLost: number;
}

interface SharedUpstream {
  readonly key: string;
  readonly upstream: Upstream;
  readonly operations: Map<string, SharedPlace>;
}

/** The place of an operation, by which `leave` removes a member. All members share it. */
export interface SharedPlace {
  readonly shared: SharedUpstream;
  readonly operationKey: string;
  readonly operation: DistinctOperation;
}

function key(...parts: unknown[]): string {
  return canonicalJson(parts);
}

/** Joins clients to shared operations and upstreams. */
export class SharedOperations {
  private readonly upstreams = new Map<string, SharedUpstream>();
  private readonly turns = new FanOutTurns();
  private readonly totals = { upstreamEvents: 0, executions: 0, upstreamsLost: 0 };

  constructor(private readonly options: SharedOperationsOptions) {}

  /** Finds where an operation is shared. */
  request(operation: SharedOperation): SharedRequest {
    const { plan, variables, scope, documentKey } = operation;
    const { operation: query, operationName, variableUsages = [] } = plan.primary;
    const used = Object.fromEntries(
      variableUsages.filter((name) => variables[name] !== undefined).map((name) => [name, variables[name]]),
    );
    return {
      ...operation,
      used,
      upstreamKey: key(plan.subgraph, query, operationName ?? null, used, scope),
      operationKey: key(documentKey, operation.operationName ?? null, variables, scope),
    };
  }

  /**
   * Adds a client, which gets all events that reach the gateway from now on. `pending` is null where the upstream is
   * established already; otherwise it resolves when the upstream is established or has ended.
   */
  join(member: Member, request: SharedRequest): { place: SharedPlace; pending: Promise<void> | null } {
    const shared = this.sharedUpstream(request);
    const { operationKey } = request;
    let place = shared.operations.get(operationKey);
    if (place === undefined) {
      place = { shared, operationKey, operation: this.distinctOperation(shared, operationKey, request) };
      shared.operations.set(operationKey, place);
    }
    place.operation.join(member);
    // oxlint-disable-next-line fleetflag/no-promise-in-object -- It never rejects.
    return { place, pending: shared.upstream.established };
  }

  /** Removes a client. The last one to leave ends the upstream. */
  leave(member: Member, place: SharedPlace): void {
    const { shared, operationKey, operation } = place;
    if (!operation.leave(member) || operation.size > 0) return;
    operation.dissolve();
    if (shared.operations.get(operationKey) === place) shared.operations.delete(operationKey);
    if (shared.operations.size === 0) this.close(shared);
  }

  counts(): SharedCounts {
    let [distinctOperations, waitingEvents] = [0, 0];
    for (const { operations } of this.upstreams.values()) {
      distinctOperations += operations.size;
      for (const { operation } of operations.values()) waitingEvents += operation.waiting;
    }
    return { ...this.totals, upstreams: this.upstreams.size, distinctOperations, waitingEvents };
  }

  /** Ends one upstream, or every one where none is given, without notice to the members. */
  close(only?: SharedUpstream): void {
    for (const shared of only === undefined ? [...this.upstreams.values()] : [only]) {
      if (this.upstreams.get(shared.key) === shared) this.upstreams.delete(shared.key);
      shared.upstream.stop();
      for (const { operation } of shared.operations.values()) operation.dissolve();
    }
  }

  private sharedUpstream({ plan, scope, upstreamKey, used }: SharedRequest): SharedUpstream {
    const present = this.upstreams.get(upstreamKey);
    if (present !== undefined) return present;

    const { operation: query, operationName } = plan.primary;
    const operations = new Map<string, SharedPlace>();
    const identity = { caller: scope, origin: { ipAddress: null, userAgent: null, requestId: randomUUID() } };
    const upstream = new Upstream(
      this.options.subgraphs[plan.subgraph],
      { query, operationName, variables: used, identity },
      {
        event: (event) => {
          this.totals.upstreamEvents += 1;
          for (const { operation } of operations.values()) operation.push(event);
        },
        ended: (end) => this.ended(shared, plan.subgraph, end),
      },
      this.options.limits,
    );
    const shared: SharedUpstream = { key: upstreamKey, upstream, operations };
    this.upstreams.set(upstreamKey, shared);
    return shared;
  }

  private distinctOperation(
    shared: SharedUpstream,
    operationKey: string,
    { plan, variables, scope }: SharedRequest,
  ): DistinctOperation {
    const operation: DistinctOperation = new DistinctOperation({
      execute: (event) => {
        this.totals.executions += 1;
        return executeEvent({ plan, variables, scope, event }, this.options);
      },
      overflow: () => {
        this.options.logger.warn(
          { subgraph: plan.subgraph },
          'Events arrive faster than they can be executed; closing the sockets of this subscription, whose clients must resync',
        );
        if (shared.operations.get(operationKey)?.operation === operation) shared.operations.delete(operationKey);
        const members = operation.dissolve();
        if (shared.operations.size === 0) this.close(shared);
        this.options.interrupted(members);
      },
      delivered: (changedAtMs) => this.options.delivered?.(changedAtMs),
      isSkippable: plan.isSkippable,
      turns: this.turns,
      limits: this.options.limits,
    });
    return operation;
  }

  private ended(shared: SharedUpstream, subgraph: string, end: UpstreamEnd): void {
    // A new client with the same request gets a new upstream.
    if (this.upstreams.get(shared.key) === shared) this.upstreams.delete(shared.key);
    if (end.kind === 'lost') {
      this.totals.upstreamsLost += 1;
      this.options.logger.warn(
        { subgraph, err: end.cause },
        'Lost the stream of a subgraph; closing the sockets that used it, whose clients reconnect',
      );
      this.options.interrupted([...shared.operations.values()].flatMap(({ operation }) => operation.dissolve()));
      return;
    }
    const lastWord = end.kind === 'complete' ? end.kind : { errors: this.masked(end.errors) };
    for (const { operation } of shared.operations.values()) operation.end(lastWord);
  }

  private masked(errors: readonly GraphQLFormattedError[]): GraphQLFormattedError[] {
    return errors.map((error) => this.options.maskError(error));
  }
}
