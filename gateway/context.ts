import type { GraphQLFormattedError } from 'graphql';
import type { CallerIdentity } from '../core/access/caller.ts';

/** The outcome of an operation, for the transport that answers it. */
export interface OperationOutcome {
  /** Whether the operation was executed. */
  executed: boolean;
  /** Whether the answer has no errors. */
  complete: boolean;
  /** The first error of an answer that has no data: it is nothing but a refusal. */
  refusal: GraphQLFormattedError | null;
}

/** The outcome of an operation that has not run yet. */
export function newOutcome(): OperationOutcome {
  return { executed: false, complete: false, refusal: null };
}

/** The gateway's knowledge of a request that it runs. */
export interface GatewayContext {
  readonly identity: CallerIdentity;
  /** Filled while it runs. An object, because Apollo Server copies the context that it is given. */
  readonly outcome: OperationOutcome;
}

/** The part of a logger that the gateway uses; pino's form. */
export interface GatewayLogger {
  debug?(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
