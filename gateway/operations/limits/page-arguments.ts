/**
 * Checks the pages in the answer of a mutation before it runs. A subgraph would refuse them after the change: its caller
 * would be told of an error, and the change would stand.
 */
import {
  OperationTypeNode,
  TypeInfo,
  getArgumentValues,
  visit,
  visitWithTypeInfo,
  type DocumentNode,
  type GraphQLSchema,
  type OperationDefinitionNode,
} from 'graphql';
import { FleetFlagError } from '../../../core/errors.ts';
import { readPage, type PageArguments } from '../../../core/wire/pagination.ts';
import { asGraphQLError } from './check-operation.ts';

/**
 * Refuses a mutation whose answer has a page that cannot be read. The cursors of all lists that belong to an object are
 * UUIDs; those at the root of a query, of which some are not, have no place in the answer of a mutation.
 *
 * @param document valid against `schema`
 * @param variables coerced
 * @throws a GraphQLError with BAD_USER_INPUT and the argument's name in `field`
 */
export function refusePages(
  schema: GraphQLSchema,
  {
    document,
    operation,
    variables,
  }: {
    readonly document: DocumentNode;
    readonly operation: OperationDefinitionNode;
    readonly variables: Readonly<Record<string, unknown>>;
  },
): void {
  if (operation.operation !== OperationTypeNode.MUTATION) return;
  const types = new TypeInfo(schema);
  visit(
    document,
    visitWithTypeInfo(types, {
      Field(node) {
        const field = types.getFieldDef();
        if (field == null || types.getParentType() === schema.getQueryType()) return;
        if (field.args.some(({ name }) => name === 'after'))
          refuse(getArgumentValues(field, node, variables) satisfies PageArguments);
      },
    }),
  );
}

function refuse(page: PageArguments): void {
  try {
    readPage(page);
  } catch (error) {
    if (!(error instanceof FleetFlagError)) throw error;
    throw asGraphQLError(error);
  }
}
