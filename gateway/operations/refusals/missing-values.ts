/**
 * Reads Apollo's reports of non-null fields that no subgraph answered. They are in an extension of the result, and not
 * in its `errors`, as the GraphQL specification would have it.
 */
import type { GraphQLFormattedError } from 'graphql';
import { is } from '../../../core/json/shape.ts';

const isErrors = is.listOf(is.shape({ message: is.string }));

/** Gives the errors of the fields without a value; undefined where there are none. */
export function missingValuesIn(
  extensions: Readonly<Record<string, unknown>> | undefined,
): readonly GraphQLFormattedError[] | undefined {
  const missing = extensions?.['valueCompletion'];
  return isErrors(missing) ? missing : undefined;
}
