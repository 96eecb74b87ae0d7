/** An operation on its way through the steps: as it was sent, checked, and permitted. */
import { getOperationAST, type DocumentNode, type OperationDefinitionNode } from 'graphql';
import { badInput } from '../../core/errors.ts';
import type { CachedDocument } from './limits/document-cache.ts';
import { RefusedOperation, withCode } from './refusals/refused-operation.ts';

/** An operation as a client sent it. The text of a persisted operation has been looked up. */
export interface SentOperation {
  readonly text: string;
  readonly operationName: string | undefined;
  readonly variables: SentVariables;
}

/** Variables that are parsed only when they are needed. */
export interface SentVariables {
  /**
   * The variables as JSON text, for a key of the cache. It need not be canonical: another order of members only makes
   * another key.
   */
  readonly text: () => string;
  readonly value: () => Readonly<Record<string, unknown>>;
}

/** A document that may run, and the one of its operations that the client has chosen. */
export interface CheckedOperation {
  readonly document: DocumentNode;
  readonly operation: OperationDefinitionNode;
  /** SHA-256 of the text, hexadecimal. */
  readonly hash: string;
}

/** An operation that its caller may run. */
export interface PermittedOperation extends CheckedOperation {
  /** The variables as the request gives them. */
  readonly given: Readonly<Record<string, unknown>>;
  /** The values of the declared variables, coerced. */
  readonly variables: Record<string, unknown>;
  /** The most objects that the answer could hold. */
  readonly cost: number;
}

/**
 * Selects the operation of a prepared document that is to run. Throws RefusedOperation where the document may not run,
 * and BAD_USER_INPUT at `operationName` where no operation, or more than one, has that name.
 */
export function operationOf(prepared: CachedDocument, operationName: string | undefined): CheckedOperation {
  const { document, errors, hash } = prepared;
  if (document === null || errors.length > 0) {
    const code = document === null ? 'GRAPHQL_PARSE_FAILED' : 'GRAPHQL_VALIDATION_FAILED';
    throw new RefusedOperation(
      errors.map((error) => withCode(error, code)),
      document ?? undefined,
    );
  }
  const operation = getOperationAST(document, operationName);
  if (operation == null)
    throw badInput(
      'operationName',
      operationName
        ? `The document has no operation ${JSON.stringify(operationName)}.`
        : 'The document has several operations: name one in operationName.',
    );
  return { document, operation, hash };
}
