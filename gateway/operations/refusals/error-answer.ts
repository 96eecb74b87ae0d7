/** Every error that leaves the gateway, over HTTP or a websocket, leaves in this form. */
import { GraphQLError, type DocumentNode, type GraphQLFormattedError } from 'graphql';
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import { membersOf } from '../../../core/json/json-value.ts';
import { clientError } from '../../../core/wire/api/error-form.ts';
import { tokenRefusal } from '../limits/check-operation.ts';
import { faultField } from './input-fault.ts';
import { RefusedOperation } from './refused-operation.ts';

/** Apollo Server's codes for input that GraphQL itself refuses, and for requests that are not GraphQL's. */
const INPUT_CODES = new Set([
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'BAD_USER_INPUT',
  'BAD_REQUEST',
  'OPERATION_RESOLUTION_FAILURE',
  'PERSISTED_QUERY_NOT_SUPPORTED',
]);

/**
 * @param error what was thrown or came from a subgraph
 * @param document the operation's, to find the place of a fault in it
 */
export function answerTo(error: unknown, requestId?: string, document?: DocumentNode): GraphQLFormattedError {
  if (!(error instanceof GraphQLError))
    return clientError(error instanceof Error ? error : { message: '', ...membersOf(error) }, requestId);
  const { extensions } = error;
  const refusal = error.originalError instanceof FleetFlagError ? error.originalError : tokenRefusal(error);
  if (refusal !== null)
    return clientError({ message: refusal.message, originalError: refusal, path: error.path }, requestId);
  // A refusal of a subgraph names its field itself; one of GraphQL's own has to be looked up.
  if (
    typeof extensions['code'] === 'string' &&
    INPUT_CODES.has(extensions['code']) &&
    extensions['serviceName'] === undefined &&
    extensions['field'] === undefined
  ) {
    const field = faultField(error, document);
    const { message, extensions: form } = clientError(badInput(field ?? '', error.message));
    return {
      message,
      ...(error.locations !== undefined && { locations: error.locations }),
      extensions: field === null ? { code: form.code } : form,
    };
  }
  return clientError({ ...error.toJSON(), originalError: error.originalError, path: error.path }, requestId);
}

/** Gives the errors that a client gets for what an operation has thrown; a RefusedOperation has several. */
export function answersTo(error: unknown, requestId?: string, document?: DocumentNode): GraphQLFormattedError[] {
  // Apollo Server wraps what is no error of GraphQL's.
  const thrown = error instanceof GraphQLError && error.originalError !== undefined ? error.originalError : error;
  return thrown instanceof RefusedOperation
    ? thrown.errors.map((each) => answerTo(each, requestId, thrown.document))
    : [answerTo(error, requestId, document)];
}

/** Checks whether an answer hides a fault of FleetFlag, which belongs in the log under the answer's request id. */
export function isFault({ extensions }: GraphQLFormattedError): boolean {
  return extensions?.['code'] === 'INTERNAL_SERVER_ERROR';
}
