import { GraphQLError, type DocumentNode } from 'graphql';

/**
 * Apollo Server's codes for input that GraphQL itself refuses; error-answer.ts looks their place up in the document.
 */
type InputCode = 'GRAPHQL_PARSE_FAILED' | 'GRAPHQL_VALIDATION_FAILED';

/** An operation that does not run, with all errors that say why. */
export class RefusedOperation extends Error {
  /**
   * @param errors with a code of their own, or refusals of ours as their `originalError`
   * @param document the operation's, to find the place of a fault in it; undefined where it cannot be parsed
   */
  constructor(
    readonly errors: readonly GraphQLError[],
    readonly document: DocumentNode | undefined,
  ) {
    super('The operation is refused.');
  }
}

/** The same error with a code that says which check it comes from. */
export function withCode(error: GraphQLError, code: InputCode): GraphQLError {
  const { message, nodes, source, positions, extensions, originalError } = error;
  return new GraphQLError(message, {
    nodes,
    source,
    positions,
    originalError,
    extensions: { ...extensions, code },
  });
}
