/**
 * Finds the personal data that an operation reads. An API key without the role ADMIN may run such an operation only if
 * the operation is bound to that key.
 */
import { TypeInfo, parse, visit, visitWithTypeInfo, type GraphQLSchema } from 'graphql';
import { boundedCache } from '../../../core/bounded-cache.ts';
import type { OperationText } from './operation-texts.ts';

/** The fields that show who a person is or from where they connect; the values in the audit log hold whole accounts. */
export const PERSONAL_FIELDS: ReadonlySet<string> = new Set([
  'User.email',
  'User.name',
  'User.department',
  'User.lastLoginAt',
  'AuditLog.ipAddress',
  'AuditLog.userAgent',
  'AuditLog.beforeValue',
  'AuditLog.afterValue',
]);

/**
 * Creates a function that gives the first field with personal data that an operation selects, as `Type.field`, or null.
 */
export function personalDataFinder(schema: GraphQLSchema): (operation: OperationText) => string | null {
  const known = boundedCache<string, { readonly field: string | null }>(1_000);
  return ({ sha256, body }) => {
    let found = known.get(sha256);
    if (found === undefined) known.set(sha256, (found = { field: firstIn(schema, body) }));
    return found.field;
  };
}

function firstIn(schema: GraphQLSchema, body: string): string | null {
  const types = new TypeInfo(schema);
  let first: string | null = null;
  visit(
    parse(body, { noLocation: true }),
    visitWithTypeInfo(types, {
      Field({ name }) {
        const field = `${types.getParentType()?.name}.${name.value}`;
        if (PERSONAL_FIELDS.has(field)) first ??= field;
      },
    }),
  );
  return first;
}
