/**
 * The form in which errors reach a client: message, path, and only the extensions that the catalogue knows.
 *
 * Subgraphs use it for the errors that they throw, and the gateway for the errors that come back through the query
 * plan. So no stack, internal address or subgraph name can reach a client through either.
 */
import { ERROR_CATALOGUE, type ErrorCode, type ErrorDetails, FleetFlagError, type InputFault } from '../../errors.ts';
import { membersOf, type Members } from '../../json/json-value.ts';

/** The extensions of an error that a client sees. */
export interface ClientErrorExtensions extends ErrorDetails {
  readonly code: ErrorCode;
  readonly requestId?: string;
  readonly [name: string]: unknown;
}

/** An error that a client sees. */
export interface ClientError {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions: ClientErrorExtensions;
}

/** An error from a GraphQL library: its own, or one that came from a subgraph as JSON. */
export interface RawError {
  readonly message: string;
  readonly path?: readonly (string | number)[] | undefined;
  readonly extensions?: Members | undefined;
  readonly originalError?: unknown;
}

/** Checks whether `code` is one of the catalogue. */
export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERROR_CATALOGUE, code);
}

/** Gives the faults of a batch that came as JSON, with the members of a fault and no others. */
function clientFaults(faults: readonly unknown[]): InputFault[] {
  return faults.flatMap((fault) => {
    const { field, message } = membersOf(fault);
    return typeof field === 'string' && typeof message === 'string' ? [{ field, message }] : [];
  });
}

/** Gives the members of `extensions` that a client may see and that have the right type. */
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
 * Gives an error as a client may see it. A refusal of FleetFlag stays as it is. Any other error becomes an
 * INTERNAL_SERVER_ERROR with a message that reveals nothing.
 *
 * @param requestId the id that goes into an INTERNAL_SERVER_ERROR, so that its reader can find the log line
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
