/**
 * The catalogue of errors. Every refusal that a client can see carries one of these codes in `extensions.code`.
 * `docs/reference/errors.md` describes them, and a test proves that the two agree.
 */

/** The facts about one error code. */
export interface CatalogueEntry {
  /** The HTTP status of an answer that consists of this error alone. */
  readonly httpStatus: number;
  /** Whether the same request may succeed later, unchanged. */
  readonly retryable: boolean;
  readonly meaning: string;
}

export const ERROR_CATALOGUE = {
  UNAUTHENTICATED: {
    httpStatus: 401,
    retryable: false,
    meaning: 'No credentials, or credentials that are wrong, expired or revoked.',
  },
  FORBIDDEN: { httpStatus: 403, retryable: false, meaning: 'The caller is known and may not do this.' },
  BAD_USER_INPUT: {
    httpStatus: 400,
    retryable: false,
    meaning: 'The input is wrong; `extensions.field` is the dotted path of the fault.',
  },
  NOT_FOUND: { httpStatus: 404, retryable: false, meaning: 'Something that the input names does not exist.' },
  CONFLICT: {
    httpStatus: 409,
    retryable: false,
    meaning:
      'The change conflicts with the current state; `extensions.currentRevision` is set where a revision is the reason.',
  },
  LIMIT_EXCEEDED: {
    httpStatus: 400,
    retryable: false,
    meaning: 'A limit would be exceeded; `extensions.limit` is the number.',
  },
  RATE_LIMITED: {
    httpStatus: 429,
    retryable: true,
    meaning: 'Too many requests; `extensions.retryAfter` is in seconds.',
  },
  PERSISTED_QUERY_NOT_FOUND: {
    httpStatus: 404,
    retryable: false,
    meaning: 'No operation is registered under this id.',
  },
  PERSISTED_QUERY_REQUIRED: {
    httpStatus: 400,
    retryable: false,
    meaning: 'An API key may run registered operations only.',
  },
  SERVICE_UNAVAILABLE: {
    httpStatus: 503,
    retryable: true,
    meaning: 'A store or a part of the service is down; a retry is safe.',
  },
  INTERNAL_SERVER_ERROR: {
    httpStatus: 500,
    retryable: false,
    meaning: 'An internal error; the log has it under the request id of the answer.',
  },
} as const satisfies Record<string, CatalogueEntry>;

/** A code of the catalogue. */
export type ErrorCode = keyof typeof ERROR_CATALOGUE;

/** One of several faults in an input. */
export interface InputFault {
  /** Dotted path, such as `input.17.vin`. */
  readonly field: string;
  readonly message: string;
}

/** The details that an error may give a client beside the code and the message. */
export interface ErrorDetails {
  /** Dotted path of the faulty input, such as `input.conditions.vins.3`. */
  readonly field?: string;
  /** All faults of a batch; the error's own field and message come from the first. */
  readonly faults?: readonly InputFault[];
  readonly currentRevision?: number;
  readonly limit?: number;
  /** The seconds after which the client may try again. */
  readonly retryAfter?: number;
}

/** A refusal for clients: its message and details are sent to them unchanged. */
export class FleetFlagError extends Error {
  override readonly name = 'FleetFlagError';

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly details: ErrorDetails = {},
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/** Makes a BAD_USER_INPUT at `field` (a dotted path). */
export function badInput(field: string, message: string): FleetFlagError {
  return new FleetFlagError('BAD_USER_INPUT', message, { field });
}

/** Makes a BAD_USER_INPUT that lists every fault of a batch. Its own field and message are those of the first. */
export function badBatch(first: InputFault, others: readonly InputFault[]): FleetFlagError {
  const message =
    others.length === 0 ? first.message : `${first.message} (${others.length} more: see extensions.faults.)`;
  return new FleetFlagError('BAD_USER_INPUT', message, { field: first.field, faults: [first, ...others] });
}
