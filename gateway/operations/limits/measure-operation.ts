/**
 * Measures an operation in one walk over it: each fragment is measured once and counted where it is spread, so
 * fragments hide nothing, and neither cycles of them nor exponential spreads take long.
 *
 * The packages for this each walk on their own, ask for every variable's value (which the registration of a persisted
 * operation does not have) and fail with errors of their own form: docs/decisions/api/measuring-operations.md.
 */
import {
  Kind,
  getNamedType,
  getNullableType,
  isCompositeType,
  isInterfaceType,
  isListType,
  isObjectType,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
  type ValueNode,
} from 'graphql';
import { DEFAULT_PAGE, MAX_PAGE } from '../../../core/wire/api/pages.ts';

/** The size of an operation. */
export interface OperationSize {
  readonly depth: number;
  readonly aliases: number;
  readonly rootFields: number;
  readonly fields: number;
  /** The most objects that the answer holds. */
  readonly cost: number;
}

/** Selections of one level: `rootFields` are those of this level, the rest is of all below it, too. */
type Size = OperationSize;

const NOTHING: Size = { depth: 0, aliases: 0, rootFields: 0, fields: 0, cost: 0 };

/** The size for which a list without pages counts: a flag's rules or experiments, a rollout's steps. */
const UNPAGED = 5;

function beside(a: Size, b: Size): Size {
  return {
    depth: Math.max(a.depth, b.depth),
    aliases: a.aliases + b.aliases,
    rootFields: a.rootFields + b.rootFields,
    fields: a.fields + b.fields,
    cost: a.cost + b.cost,
  };
}

class Measurement {
  private readonly fragments: ReadonlyMap<string, FragmentDefinitionNode>;
  /** Null while a fragment is being measured: to come upon it then is a cycle, which validation reports. */
  private readonly measured = new Map<string, Size | null>();
  private readonly variables: ReadonlyMap<string, unknown>;

  constructor(
    private readonly schema: GraphQLSchema,
    document: DocumentNode,
    private readonly operation: OperationDefinitionNode,
    variables: Readonly<Record<string, unknown>>,
  ) {
    this.fragments = new Map(
      document.definitions.flatMap((node) =>
        node.kind === Kind.FRAGMENT_DEFINITION ? [[node.name.value, node] as const] : [],
      ),
    );
    const defaults = (operation.variableDefinitions ?? []).map(
      ({ variable, defaultValue }) => [variable.name.value, literal(defaultValue)] as const,
    );
    this.variables = new Map([...defaults, ...Object.entries(variables)]);
  }

  all(): OperationSize {
    return this.selections(
      this.operation.selectionSet,
      this.schema.getRootType(this.operation.operation) ?? undefined,
      false,
    );
  }

  private selections(set: SelectionSetNode, type: GraphQLNamedType | undefined, paged: boolean): Size {
    return set.selections
      .filter((node) => this.included(node))
      .map((node) => this.selection(node, type, paged))
      .reduce(beside, NOTHING);
  }

  /** Whether @skip and @include leave it in, as far as their values are known. */
  private included({ directives = [] }: SelectionNode): boolean {
    return directives.every(({ name, arguments: given = [] }) => {
      const value = this.valueOf(given.find((argument) => argument.name.value === 'if')?.value);
      return !(name.value === 'skip' && value === true) && !(name.value === 'include' && value === false);
    });
  }

  private selection(node: SelectionNode, type: GraphQLNamedType | undefined, paged: boolean): Size {
    if (node.kind === Kind.FIELD) return this.field(node, type, paged);
    if (node.kind === Kind.INLINE_FRAGMENT) {
      return this.selections(
        node.selectionSet,
        node.typeCondition === undefined ? type : this.schema.getType(node.typeCondition.name.value),
        paged,
      );
    }
    const key = `${paged}:${node.name.value}`;
    const known = this.measured.get(key);
    if (known !== undefined) return known ?? NOTHING;
    this.measured.set(key, null);
    const fragment = this.fragments.get(node.name.value);
    const size =
      fragment === undefined
        ? NOTHING
        : this.selections(fragment.selectionSet, this.schema.getType(fragment.typeCondition.name.value), paged);
    this.measured.set(key, size);
    return size;
  }

  /**
   * Measures a field and all below it.
   *
   * @param paged whether the field around it has a page size already, which its list of nodes and that of edges keep to
   */
  private field(node: FieldNode, type: GraphQLNamedType | undefined, paged: boolean): Size {
    const aliases = node.alias === undefined ? 0 : 1;
    const { name } = node;
    // Introspection asks no subgraph, and graphql-js has a limit of its own on its depth (MaxIntrospectionDepthRule).
    const introspection = name.value.startsWith('__');
    const definition = isObjectType(type) || isInterfaceType(type) ? type.getFields()[name.value] : undefined;
    const pageSize = definition === undefined ? null : this.pageSize(definition, node);
    const isList = definition !== undefined && isListType(getNullableType(definition.type));
    const times = pageSize ?? (isList && !paged ? UNPAGED : 1);
    const inner =
      node.selectionSet === undefined
        ? NOTHING
        : this.selections(
            node.selectionSet,
            definition === undefined ? undefined : getNamedType(definition.type),
            pageSize !== null,
          );
    const isObject = definition !== undefined && isCompositeType(getNamedType(definition.type));
    // A connection is one object; a list is as many as it holds.
    const own = isObject ? (isList ? times : 1) : 0;
    return {
      depth: introspection ? 0 : 1 + inner.depth,
      aliases: aliases + inner.aliases,
      rootFields: 1,
      fields: 1 + inner.fields,
      cost: introspection ? 0 : own + times * inner.cost,
    };
  }

  /** The field's `first` or `last`, whichever is more, or the default, within 0 to MAX_PAGE; null where it has none. */
  private pageSize({ args }: GraphQLField<unknown, unknown>, node: FieldNode): number | null {
    const sizes = args.filter(({ name }) => name === 'first' || name === 'last');
    if (sizes.length === 0) return null;
    const given = sizes
      .map(
        ({ name, defaultValue }) =>
          this.valueOf(node.arguments?.find((argument) => argument.name.value === name)?.value) ?? defaultValue ?? null,
      )
      .filter((value) => value !== null);
    if (given.length === 0) return DEFAULT_PAGE;
    // A value that is no number is refused before the operation runs; until then it counts for the most.
    return Math.max(
      ...given.map((value) => (typeof value === 'number' ? Math.min(Math.max(value, 0), MAX_PAGE) : MAX_PAGE)),
    );
  }

  private valueOf(node: ValueNode | undefined): unknown {
    return node?.kind === Kind.VARIABLE ? this.variables.get(node.name.value) : literal(node);
  }
}

/** The value of a number or boolean; undefined for anything else. */
function literal(node: ValueNode | undefined): unknown {
  if (node?.kind === Kind.INT) return Number(node.value);
  return node?.kind === Kind.BOOLEAN ? node.value : undefined;
}

/**
 * Measures an operation that need not be valid: what the schema does not know counts as a field and costs nothing.
 *
 * @param variables as the request gives them; one without a value counts as its default or, in `first`, as the default
 *   page
 */
export function measureOperation(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Readonly<Record<string, unknown>>,
): OperationSize {
  return new Measurement(schema, document, operation, variables).all();
}
