/** What the audit subgraph holds operations to that are to be registered: the gateway's own schema and limits. */
import { FleetFlagError } from '../core/errors.ts';
import { readApiSchema } from '../gateway/composition/supergraph.ts';
import { checkOperation } from '../gateway/operations/limits/check-operation.ts';
import type { CheckOperation } from '../subgraphs/audit/persisted-operations/persisted-operation.ts';

/**
 * The schema is built when the first operation is checked: most processes never do. Who registers is an administrator,
 * so names of the schema may be suggested; whether introspection runs is decided again when it is asked for.
 */
export function operationCheck(): CheckOperation {
  let schema: ReturnType<typeof readApiSchema> | undefined;
  return (body) =>
    checkOperation(body, (schema ??= readApiSchema()), { introspection: true }).map(({ message, originalError }) => ({
      message,
      limit: originalError instanceof FleetFlagError ? originalError.details.limit : undefined,
    }));
}
