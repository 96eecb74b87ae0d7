/** The law of `extensions.field`: it names an existing argument, and within it existing members of its input type. */
import {
  TypeInfo,
  getNullableType,
  isInputObjectType,
  isListType,
  isScalarType,
  parse,
  visit,
  visitWithTypeInfo,
  type GraphQLArgument,
  type GraphQLInputType,
  type GraphQLSchema,
} from 'graphql';
import type { SubgraphErrorJson } from '../../../core/wire/subgraph/subgraph.ts';

/** Checks whether `path` leads through an input of `type`; in JSON every path does. */
function leads(type: GraphQLInputType, path: readonly string[]): boolean {
  const [first, ...rest] = path;
  if (first === undefined) return true;
  const nullable = getNullableType(type);
  if (isListType(nullable)) return leads(nullable.ofType, /^\d+$/.test(first) ? rest : path);
  if (isScalarType(nullable)) return nullable.name === 'JSON';
  const field = isInputObjectType(nullable) ? nullable.getFields()[first] : undefined;
  return field !== undefined && leads(field.type, rest);
}

/** Gives the arguments of all fields that a document selects. */
function argumentsIn(schema: GraphQLSchema, query: string): GraphQLArgument[] {
  const found: GraphQLArgument[] = [];
  const types = new TypeInfo(schema);
  visit(parse(query), visitWithTypeInfo(types, { Field: () => void found.push(...(types.getFieldDef()?.args ?? [])) }));
  return found;
}

/** Gives the fields of errors that name no argument of the operation: none, if the law is kept. */
export function strayFaultPaths(schema: GraphQLSchema, query: string, errors: readonly SubgraphErrorJson[]): string[] {
  const named = errors.map(({ extensions }) => extensions?.['field']).filter((field) => typeof field === 'string');
  if (named.length === 0) return [];
  const known = argumentsIn(schema, query);
  return named.filter((field) => {
    const [argument = '', ...rest] = field.split('.');
    return !known.some(({ name, type }) => name === argument && leads(type, rest));
  });
}
