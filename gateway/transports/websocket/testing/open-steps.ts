/** The pipeline's steps for a schema that has no row in the table of permissions: everybody may run everything. */
import { GraphQLError, getVariableValues, type GraphQLSchema } from 'graphql';
import { DocumentCache } from '../../../operations/limits/document-cache.ts';
import { operationOf } from '../../../operations/checked-operation.ts';
import { RefusedOperation } from '../../../operations/refusals/refused-operation.ts';
import type { OperationSteps } from '../operations/start-operation.ts';

/**
 * Creates the steps.
 *
 * @param schema gives the schema in force
 */
export function openSteps(schema: () => GraphQLSchema): OperationSteps {
  const documents = new DocumentCache({ maxDocuments: 1_000, maxBytes: 8 * 1024 * 1024, introspection: true });
  return {
    name: () => null,
    // Such a schema has no field that revisions govern.
    governed: () => null,
    answer: async () => null,
    check: (text, operationName) => operationOf(documents.prepare(text, schema()), operationName),
    permit(checked, given) {
      const declared = checked.operation.variableDefinitions ?? [];
      const { coerced, errors } = getVariableValues(schema(), declared, given, { maxErrors: 1 });
      if (coerced !== undefined) return { ...checked, given, variables: coerced, cost: 0 };
      throw new RefusedOperation(
        errors.map(
          ({ message, nodes }) => new GraphQLError(message, { nodes, extensions: { code: 'BAD_USER_INPUT' } }),
        ),
        checked.document,
      );
    },
  };
}
