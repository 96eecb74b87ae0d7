/** The check of persisted operations at their registration: the gateway's own schema and limits. */
import { FleetFlagError } from '../core/errors.ts';
import { readApiSchema } from '../gateway/composition/supergraph.ts';
import { checkOperation } from '../gateway/operations/limits/check-operation.ts';
import type { CheckOperation } from '../subgraphs/audit/persisted-operations/persisted-operation.ts';

/**
 * Creates the check. The schema is built for the first checked operation, because most processes check none. Only
 * administrators register operations, so faults may suggest names from the schema; introspection is decided again when
 * an operation runs.
 */
export function operationCheck(): CheckOperation {
  let schema: ReturnType<typeof readApiSchema> | undefined;
  return (body) =>
    checkOperation(body, (schema ??= readApiSchema()), { introspection: true }).map(({ message, originalError }) => ({
      message,
      limit: originalError instanceof FleetFlagError ? originalError.details.limit : undefined,
    }));
}
