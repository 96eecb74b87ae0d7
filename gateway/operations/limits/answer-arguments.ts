/**
 * Checks the pages and the time series in the answer of a mutation before it runs. A subgraph would refuse them after
 * the change: its caller would get an error, and the change would stand.
 */
import {
  OperationTypeNode,
  TypeInfo,
  getArgumentValues,
  getNullableType,
  isListType,
  visit,
  visitWithTypeInfo,
  type DocumentNode,
  type GraphQLSchema,
  type OperationDefinitionNode,
} from 'graphql';
import { FleetFlagError } from '../../../core/errors.ts';
import { readPointsQuery, type MetricInterval, type MetricsArguments } from '../../../core/wire/api/metric-points.ts';
import { readKeyPage, readPage, type PageArguments } from '../../../core/wire/api/pagination.ts';
import { asGraphQLError } from './check-operation.ts';

/**
 * Refuses a mutation whose answer has a page or a time series that cannot be read. The cursors of all connections that
 * belong to an object are UUIDs, and plain lists have keys, of which any may be given; the cursors of connections at
 * the root of a query, of which some are not, have no place in the answer of a mutation.
 *
 * @param document valid against `schema`
 * @param variables coerced
 * @throws a GraphQLError with BAD_USER_INPUT and the argument's name in `field`
 */
export function refuseAnswerArguments(
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
          refuse(() => {
            const page = getArgumentValues(field, node, variables) satisfies PageArguments;
            return isListType(getNullableType(field.type)) ? readKeyPage(page) : readPage(page);
          });
        if (types.getParentType()?.name === 'Flag' && field.name === 'metrics')
          refuse(() => readPointsQuery(seriesOf(getArgumentValues(field, node, variables))));
      },
    }),
  );
}

function refuse(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    if (!(error instanceof FleetFlagError)) throw error;
    throw asGraphQLError(error);
  }
}

const INTERVALS: Readonly<Record<string, MetricInterval>> = { MINUTE: 'minute', HOUR: 'hour', DAY: 'day' };

/** Gives the arguments of `Flag.metrics` in the domain's form. The schema has checked their types. */
function seriesOf({ metric, from, to, interval }: Readonly<Record<string, unknown>>): MetricsArguments {
  return {
    metric: String(metric),
    from: new Date(String(from)),
    to: new Date(String(to)),
    interval: INTERVALS[String(interval)] ?? 'hour',
  };
}
