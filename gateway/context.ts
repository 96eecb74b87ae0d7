import type { GraphQLFormattedError } from 'graphql';
import type { CallerIdentity } from '../core/access/caller.ts';

/** How an operation ended, for the transport that answers it. */
export interface Outcome {
  /** Whether it came to be executed. */
  executed: boolean;
  /** Whether the answer came without errors. */
  complete: boolean;
  /** The first error of an answer that has no data: it is nothing but a refusal. */
  refusal: GraphQLFormattedError | null;
}

/** The outcome of an operation that has not run yet. */
export function newOutcome(): Outcome {
  return { executed: false, complete: false, refusal: null };
}

/** What the gateway knows of a request while it runs it. */
export interface GatewayContext {
  readonly identity: CallerIdentity;
  /** Filled while it runs. An object, because Apollo Server copies the context that it is given. */
  readonly outcome: Outcome;
}

/** The part of a logger that the gateway uses; pino's form. */
export interface GatewayLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
