/**
 * What the API's own scalars take, where operations are validated. A supergraph names scalars and says nothing of
 * them: without this a time that is none would pass the gateway, and the subgraph's refusal of the document that the
 * gateway had made would look like a fault of ours.
 */
import { isScalarType, valueFromASTUntyped, type GraphQLSchema } from 'graphql';
import { GraphQLDateTimeISO } from 'graphql-scalars';
import { checkTime } from '../../core/validation/time.ts';

/**
 * Makes `schema` refuse values of DateTime that are no time, or none that can be kept; those that are stay as they were
 * written.
 */
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
