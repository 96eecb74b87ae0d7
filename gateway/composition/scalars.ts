/**
 * Checks the values of the API's own scalars where operations are validated. A supergraph only names scalars. Without
 * these checks an invalid time would pass the gateway; the subgraph would refuse the gateway's document, and the client
 * would get an internal error.
 */
import { isScalarType, valueFromASTUntyped, type GraphQLSchema } from 'graphql';
import { GraphQLDateTimeISO } from 'graphql-scalars';
import { checkTime } from '../../core/validation/time.ts';

/** Makes `schema` refuse values of DateTime that are not a time or cannot be stored. Valid values stay as written. */
export function giveScalars(schema: GraphQLSchema): void {
  const type = schema.getType('DateTime');
  if (!isScalarType(type)) throw new Error('The schema has no scalar DateTime.');
  type.parseValue = (value) => {
    checkTime(GraphQLDateTimeISO.parseValue(value));
    return value;
  };
  type.parseLiteral = (node, variables) => {
    checkTime(GraphQLDateTimeISO.parseLiteral(node, variables));
    return valueFromASTUntyped(node, variables);
  };
}
