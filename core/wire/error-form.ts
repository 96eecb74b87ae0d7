/**
 * The form in which errors reach a client: message, path, and only the extensions that the catalogue knows.
 *
 * Used by the subgraphs for what they throw and by the gateway for what comes back through the query plan, so that
 * no stack, internal address or subgraph name can slip through either.
 */
import { ERROR_CATALOGUE, type ErrorCode, type ErrorDetails, FleetFlagError, type InputFault } from '../errors.ts';
import { membersOf, type Members } from '../json/json-value.ts';

export interface ClientErrorExtensions extends ErrorDetails {
  readonly code: ErrorCode;
  readonly requestId?: string;
  readonly [name: string]: unknown;
}

export interface ClientError {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions: ClientErrorExtensions;
}

/** What a GraphQL library hands over: its own error, or one that came from a subgraph as JSON. */
export interface RawError {
  readonly message: string;
  readonly path?: readonly (string | number)[] | undefined;
  readonly extensions?: Members | undefined;
  readonly originalError?: unknown;
}

function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERROR_CATALOGUE, code);
}

/** The faults of a batch that came as JSON, with what a fault is made of and nothing else. */
function clientFaults(faults: readonly unknown[]): InputFault[] {
  return faults.flatMap((fault) => {
    const { field, message } = membersOf(fault);
    return typeof field === 'string' && typeof message === 'string' ? [{ field, message }] : [];
  });
}

/** The members of `extensions` that a client may see, each with the type that it must have. */
function clientDetails(extensions: Members): ErrorDetails {
  const { field, faults, currentRevision, limit, retryAfter } = extensions;
  return {
    ...(typeof field === 'string' && { field }),
    ...(Array.isArray(faults) && { faults: clientFaults(faults) }),
    ...(typeof currentRevision === 'number' && { currentRevision }),
    ...(typeof limit === 'number' && { limit }),
    ...(typeof retryAfter === 'number' && { retryAfter }),
  };
}

/**
 * An error as a client may see it: a refusal of ours as it is, anything else as INTERNAL_SERVER_ERROR with a message
 * that tells nothing.
 *
 * @param requestId goes into the answer to a fault, so that whoever reads it can find the log line
 */
export function clientError(error: RawError, requestId?: string): ClientError {
  const where = error.path === undefined ? {} : { path: error.path };
  const original = error instanceof FleetFlagError ? error : error.originalError;
  if (original instanceof FleetFlagError) {
    return { message: original.message, ...where, extensions: { code: original.code, ...original.details } };
  }
  const extensions = error.extensions ?? {};
  const code = extensions['code'];
  if (isErrorCode(code) && code !== 'INTERNAL_SERVER_ERROR') {
    return { message: error.message, ...where, extensions: { code, ...clientDetails(extensions) } };
  }
  return {
    message: 'Something went wrong on our side.',
    ...where,
    extensions: { code: 'INTERNAL_SERVER_ERROR', ...(requestId !== undefined && { requestId }) },
  };
}
