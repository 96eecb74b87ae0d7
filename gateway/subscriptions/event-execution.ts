/**
 * Executes one event of an upstream for one distinct operation: it fetches the data of the other subgraphs and shapes
 * the result as the client requested.
 */
import { randomUUID } from 'node:crypto';
import { executeQueryPlan, type ServiceMap } from '@apollo/gateway';
import { GraphQLError, type FormattedExecutionResult, type GraphQLFormattedError } from 'graphql';
import { TimeoutError, withTimeout } from '../../core/async/timeout.ts';
import { FleetFlagError } from '../../core/errors.ts';
import type { Caller } from '../../core/access/caller.ts';
import {
  SUBGRAPH_NAMES,
  type SubgraphConnection,
  type SubgraphName,
  type SubgraphResponse,
} from '../../core/wire/subgraph/subgraph.ts';
import { missingValuesIn } from '../operations/refusals/missing-values.ts';
import { EVENT_SERVICE, type SubscriptionPlan } from './subscription-plan.ts';

/** Masks an error for clients. */
export type MaskError = (error: unknown) => GraphQLFormattedError;

/** An event and the operation for which it is executed. */
export interface EventExecution {
  readonly plan: SubscriptionPlan;
  /** The coerced values of the declared variables. */
  readonly variables: Record<string, unknown>;
  /** The permission scope under which the operation runs. */
  readonly scope: Caller;
  readonly event: SubgraphResponse;
}

/** The services that an execution needs. */
export interface ExecutionServices {
  readonly subgraphs: Readonly<Record<SubgraphName, SubgraphConnection>>;
  readonly maskError: MaskError;
  readonly logger: { error(details: object, message: string): void };
  /** The timeout of one subgraph request, in milliseconds. */
  readonly executionTimeoutMs: number;
}

/** Runs `work`. Rejects with SERVICE_UNAVAILABLE when it has not ended within `timeoutMs`. */
async function within<T>(timeoutMs: number, work: () => Promise<T>): Promise<T> {
  try {
    return await withTimeout(timeoutMs, 'A subgraph did not answer in time.', work);
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error;
    const message = 'A part of the service did not answer in time.';
    throw new FleetFlagError('SERVICE_UNAVAILABLE', message, {}, { cause: error });
  }
}

/** Gives an error without the name of the subgraph from which it came, which clients must not see. */
function withoutService(error: unknown): unknown {
  if (!(error instanceof GraphQLError)) return error;
  const { extensions = {}, ...formatted } = error.toJSON();
  const { serviceName: _, ...rest } = extensions;
  return { ...formatted, extensions: rest };
}

function serviceMap({ event, scope }: EventExecution, requestId: string, services: ExecutionServices): ServiceMap {
  const identity = { caller: scope, origin: { ipAddress: null, userAgent: null, requestId } };
  const map: ServiceMap = {
    [EVENT_SERVICE]: {
      // The data of the other subgraphs is merged into this object, and other operations share the event.
      process: async () => structuredClone(event),
    },
  };
  for (const name of SUBGRAPH_NAMES) {
    map[name] = {
      process: async ({ request }) => {
        const response = await within(services.executionTimeoutMs, () =>
          services.subgraphs[name].execute({
            query: request.query ?? '',
            operationName: request.operationName,
            variables: request.variables,
            identity,
          }),
        );
        return response;
      },
    };
  }
  return map;
}

/**
 * Resolves to the result of the event for all clients of the operation, as JSON in UTF-8. Never rejects: failures are
 * in `errors`, masked, and the fetched data is in `data`.
 */
export async function executeEvent(execution: EventExecution, services: ExecutionServices): Promise<Buffer> {
  // An event belongs to no request, so it gets an id of its own.
  const requestId = randomUUID();
  try {
    return Buffer.from(JSON.stringify(await resultOf(execution, requestId, services)));
  } catch (error) {
    services.logger.error(
      { err: error, requestId },
      'Cannot execute an event of a subscription; its clients get the error',
    );
    return Buffer.from(JSON.stringify({ errors: [services.maskError(error)], data: null }));
  }
}

async function resultOf(
  execution: EventExecution,
  requestId: string,
  services: ExecutionServices,
): Promise<FormattedExecutionResult> {
  const { plan, variables } = execution;
  // oxlint-disable-next-line typescript/consistent-type-assertions -- the execution of a plan reads only these members of Apollo Server's request context
  const requestContext = {
    request: { variables },
    context: {},
    metrics: {},
    logger: services.logger,
  } as unknown as Parameters<typeof executeQueryPlan>[2];
  const { data, errors, extensions } = await executeQueryPlan(
    plan.perEvent,
    serviceMap(execution, requestId, services),
    requestContext,
    plan.operationContext,
    plan.planner.supergraphSchema,
    plan.planner.apiSchema,
  );
  const all: readonly unknown[] = errors ?? missingValuesIn(extensions) ?? [];
  if (all.length === 0) return { data: data ?? null };
  return { errors: all.map((error) => services.maskError(withoutService(error))), data: data ?? null };
}
