/**
 * Checks whether a caller may run an operation: its root fields against the permission table, before anything is
 * planned.
 */
import {
  GraphQLError,
  Kind,
  getArgumentValues,
  getVariableValues,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLField,
  type GraphQLObjectType,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql';
import type { FleetFlagError } from '../../core/errors.ts';
import { PERMISSIONS, refusalOf } from '../../core/access/permissions.ts';
import type { Caller } from '../../core/access/caller.ts';

function* rootFields(
  selections: SelectionSetNode,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
  visited: Set<string>,
): Generator<FieldNode> {
  for (const selection of selections.selections) {
    if (selection.kind === Kind.FIELD) yield selection;
    else if (selection.kind === Kind.INLINE_FRAGMENT) yield* rootFields(selection.selectionSet, fragments, visited);
    else if (!visited.has(selection.name.value)) {
      visited.add(selection.name.value);
      const fragment = fragments.get(selection.name.value);
      if (fragment !== undefined) yield* rootFields(fragment.selectionSet, fragments, visited);
    }
  }
}

/** The fields of Query, Mutation or Subscription that an operation of a document selects, those in fragments too. */
export function rootFieldsOf(document: DocumentNode, operation: OperationDefinitionNode): FieldNode[] {
  const fragments = new Map(
    document.definitions.flatMap((node) =>
      node.kind === Kind.FRAGMENT_DEFINITION ? [[node.name.value, node] as const] : [],
    ),
  );
  return [...rootFields(operation.selectionSet, fragments, new Set())];
}

function rootType(schema: GraphQLSchema, operation: OperationDefinitionNode): GraphQLObjectType | null | undefined {
  return schema.getRootType(operation.operation);
}

/** A refusal as a GraphQL error at the response key of the field that it is about. */
function errorAtField(refusal: FleetFlagError, field: FieldNode): GraphQLError {
  return new GraphQLError(refusal.message, {
    nodes: field,
    path: [field.alias?.value ?? field.name.value],
    originalError: refusal,
    extensions: { code: refusal.code },
  });
}

/**
 * Throws a GraphQLError (UNAUTHENTICATED or FORBIDDEN) for the first root field of a validated operation that `caller`
 * may not use, or else BAD_USER_INPUT for the first variable that does not fit. Fields below the root are checked where
 * they are resolved.
 *
 * @returns the values of the declared variables, coerced
 * @param operation with the variables as the request gives them
 * @param options.hideSuggestions whether a refusal of variables leaves out names of the schema
 */
export function authorizeOperation(
  schema: GraphQLSchema,
  operation: {
    document: DocumentNode;
    operation: OperationDefinitionNode;
    variables: Readonly<Record<string, unknown>>;
  },
  caller: Caller,
  options: { readonly hideSuggestions: boolean },
): Record<string, unknown> {
  const type = rootType(schema, operation.operation);
  if (type === null || type === undefined) return {};
  let fault: GraphQLError | undefined;
  const fitting: Record<string, unknown> = {};
  // Each variable is coerced by itself, so that a faulty one does not hide the others, such as the environment that
  // decides whether a vehicle may use the field.
  for (const variable of operation.operation.variableDefinitions ?? []) {
    const { coerced, errors } = getVariableValues(schema, [variable], operation.variables, {
      maxErrors: 1,
      ...options,
    });
    fault ??= errors?.[0];
    Object.assign(fitting, coerced);
  }
  const argumentsOf = (
    field: GraphQLField<unknown, unknown> | undefined,
    node: FieldNode,
  ): Readonly<Record<string, unknown>> => {
    if (field === undefined) return {};
    try {
      return getArgumentValues(field, node, fitting);
    } catch (error) {
      // A needed variable that does not fit, or the one fault that validation cannot see: null for a variable that has
      // a default, where the argument takes none.
      if (!(error instanceof GraphQLError)) throw error;
      fault ??= error;
      return {};
    }
  };
  for (const node of rootFieldsOf(operation.document, operation.operation)) {
    // __typename, __schema and __type reveal nothing beyond the published schema. A setting decides whether they are
    // answered.
    if (node.name.value.startsWith('__')) continue;
    const definition = type.getFields()[node.name.value];
    const name = `${type.name}.${node.name.value}`;
    const refusal = refusalOf(PERMISSIONS[name], name, caller, argumentsOf(definition, node));
    if (refusal !== null) throw errorAtField(refusal, node);
  }
  // A faulty variable is reported only after the permissions, so that a caller without them learns nothing about it.
  if (fault !== undefined)
    throw new GraphQLError(fault.message, { nodes: fault.nodes ?? null, extensions: { code: 'BAD_USER_INPUT' } });
  return fitting;
}
