/**
 * Answers introspection with graphql-js. The package that plans operations does not know all fields of introspection
 * (`__Type.isOneOf` is missing), and fails on those.
 */
import {
  execute,
  GraphQLError,
  Kind,
  visit,
  type DocumentNode,
  type ExecutionResult,
  type FragmentDefinitionNode,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql';

/** The fields of introspection that the planner does not know. */
const UNPLANNED = new Set(['isOneOf']);

function* rootNames(
  { selections }: SelectionSetNode,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
  visited: Set<string>,
): Generator<string> {
  for (const selection of selections) {
    if (selection.kind === Kind.FIELD) yield selection.name.value;
    else if (selection.kind === Kind.INLINE_FRAGMENT) yield* rootNames(selection.selectionSet, fragments, visited);
    else if (!visited.has(selection.name.value)) {
      visited.add(selection.name.value);
      const fragment = fragments.get(selection.name.value);
      if (fragment !== undefined) yield* rootNames(fragment.selectionSet, fragments, visited);
    }
  }
}

function asksUnplanned(document: DocumentNode): boolean {
  let found = false;
  visit(document, { Field: ({ name }) => void (found ||= UNPLANNED.has(name.value)) });
  return found;
}

/**
 * Answers an operation that only asks about the schema.
 *
 * @param operation an operation of a valid document
 * @returns null where the operation also asks for other fields; a refusal where it also asks about fields of the schema
 *   that the planner does not know
 */
export async function answerIntrospection(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Readonly<Record<string, unknown>>,
): Promise<ExecutionResult | null> {
  const fragments = new Map(
    document.definitions.flatMap((node) =>
      node.kind === Kind.FRAGMENT_DEFINITION ? [[node.name.value, node] as const] : [],
    ),
  );
  const names = new Set(rootNames(operation.selectionSet, fragments, new Set()));
  if (!names.has('__schema') && !names.has('__type')) return null;
  if ([...names].every((name) => name.startsWith('__'))) {
    return execute({ schema, document, operationName: operation.name?.value ?? null, variableValues: variables });
  }
  if (!asksUnplanned(document)) return null;
  return {
    errors: [
      new GraphQLError(
        `Select ${[...UNPLANNED].join(', ')} only in an operation that queries nothing but the schema.`,
        {
          extensions: { code: 'BAD_USER_INPUT' },
        },
      ),
    ],
  };
}
