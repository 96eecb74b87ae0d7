/**
 * Generates a valid operation for any field of a schema. Its arguments are made from the types, so that a new field
 * needs no work.
 */
import {
  getNamedType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
  print,
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLObjectType,
  type GraphQLOutputType,
} from 'graphql';

/** Sample values by the name of an argument or input field, where the type alone gives no sensible value. */
export type Samples = Readonly<Record<string, unknown>>;

export interface SampleOperation {
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
}

/** Sample values of scalars without one by name. A scalar that is missing here has to be added. */
const BY_TYPE: Samples = {
  String: 'text',
  ID: '0198f0aa-0000-7000-8000-000000000000',
  Int: 1,
  Float: 0.25,
  Boolean: true,
  DateTime: '2040-01-01T00:00:00.000Z',
  DateTimeISO: '2040-01-01T00:00:00.000Z',
  Duration: 'PT1H',
};

/** The member to set in input types that must have exactly one set. */
const ONE_OF: Readonly<Record<string, string>> = { ProposedChangeInput: 'enabled' };

function valueOf(type: GraphQLInputType, name: string, samples: Samples): unknown {
  if (isNonNullType(type)) return valueOf(type.ofType, name, samples);
  if (Object.hasOwn(samples, name) && !isInputObjectType(getNamedType(type))) return samples[name];
  if (isListType(type)) return [valueOf(type.ofType, name, samples)];
  if (isEnumType(type)) return type.getValues()[0]?.name;
  if (isInputObjectType(type)) {
    return Object.fromEntries(
      Object.values(type.getFields())
        .filter((field) => isRequiredInputField(field) || ONE_OF[type.name] === field.name)
        .map((field) => [field.name, valueOf(field.type, field.name, samples)]),
    );
  }
  if (!Object.hasOwn(BY_TYPE, type.name)) throw new Error(`There is no sample of the type ${type.name} (for ${name}).`);
  return BY_TYPE[type.name];
}

/** Collects variables for the required arguments of the fields that are selected. */
class Selecting {
  readonly declared: string[] = [];
  readonly variables: Record<string, unknown> = {};

  constructor(
    private readonly samples: Samples,
    private readonly leftOut: readonly string[],
  ) {}

  /** Gives the call of a field, such as `flag(key: $v0)`, and declares its variables. */
  call(field: { readonly name: string; readonly args: readonly GraphQLArgument[] }): string {
    const args = field.args.filter(isRequiredArgument).map(({ name, type, astNode }) => {
      const variable = `v${this.declared.length}`;
      // This is the name in the SDL: the implementation of a subgraph's scalar has another one.
      this.declared.push(`$${variable}: ${astNode ? print(astNode.type) : String(type)}`);
      this.variables[variable] = valueOf(type, name, this.samples);
      return `${name}: $${variable}`;
    });
    return args.length === 0 ? field.name : `${field.name}(${args.join(', ')})`;
  }

  /** Selects all leaves down to `depth` levels; nothing for a leaf itself. */
  leaves(type: GraphQLOutputType, depth: number): string {
    const named = getNamedType(type);
    if (!isObjectType(named) && !isInterfaceType(named)) return '';
    const fields = Object.values(named.getFields()).flatMap((field) => {
      if (this.leftOut.includes(`${named.name}.${field.name}`)) return [];
      if (isLeafType(getNamedType(field.type))) return [this.call(field)];
      return depth > 1 ? [`${this.call(field)}${this.leaves(field.type, depth - 1)}`] : [];
    });
    return ` { ${['__typename', ...fields].join(' ')} }`;
  }
}

/**
 * Generates an operation that selects a path of fields from a root field on, and the leaves below the last field: two
 * levels deep below a root field and one below others.
 *
 * @param kind `query`, `mutation` or `subscription`
 * @param bare whether only `__typename` is selected below the last field, so that what it loads eagerly is not awaited
 * @param leftOut fields that are not selected, such as `Flag.name`
 */
export function sampleOperation(
  kind: string,
  path: readonly GraphQLField<unknown, unknown>[],
  samples: Samples,
  bare = false,
  leftOut: readonly string[] = [],
): SampleOperation {
  const selecting = new Selecting(samples, leftOut);
  const calls = path.map((field) => selecting.call(field));
  const last = path.at(-1);
  const leaves = last === undefined ? '' : selecting.leaves(last.type, path.length === 1 ? 2 : 1);
  const inner = bare && leaves !== '' ? ' { __typename }' : leaves;
  const body = calls.reduceRight(
    (below, call, index) => `${call}${index === calls.length - 1 ? below : ` { ${below} }`}`,
    inner,
  );
  const head = selecting.declared.length === 0 ? '' : `(${selecting.declared.join(', ')})`;
  return { query: `${kind} Sample${head} { ${body} }`, variables: selecting.variables };
}

/**
 * Generates queries for one entity: one for all its leaves, and one for each other field alone, because a refused field
 * that cannot be null removes the fields beside it.
 */
export function sampleEntity(
  type: GraphQLObjectType,
  reference: Readonly<Record<string, unknown>>,
  samples: Samples,
): SampleOperation[] {
  const fields = Object.values(type.getFields());
  const leaves = fields.filter((field) => isLeafType(getNamedType(field.type)));
  return [leaves, ...fields.filter((field) => !leaves.includes(field)).map((field) => [field])].map((asked) => {
    const selecting = new Selecting(samples, []);
    const inner = asked.map((field) => `${selecting.call(field)}${selecting.leaves(field.type, 1)}`).join(' ');
    return {
      query: `query (${['$representations: [_Any!]!', ...selecting.declared].join(', ')}) { _entities(representations: $representations) { ... on ${type.name} { ${inner} } } }`,
      variables: { ...selecting.variables, representations: [{ __typename: type.name, ...reference }] },
    };
  });
}
