/**
 * Loads the supergraph (which `npm run schema` writes), and connects its query plans with the subgraphs' connections.
 */
import { readFileSync } from 'node:fs';
import { ApolloGateway, type GraphQLDataSource, type GraphQLDataSourceProcessOptions } from '@apollo/gateway';
import { Supergraph } from '@apollo/federation-internals';
import type { GraphQLSchema } from 'graphql';
import { FleetFlagError } from '../../core/errors.ts';
import { clientError } from '../../core/wire/api/error-form.ts';
import { SUBGRAPH_NAMES, type SubgraphConnection, type SubgraphName } from '../../core/wire/subgraph/subgraph.ts';
import type { GatewayContext } from '../context.ts';
import { answerIntrospection } from './introspection.ts';
import { giveScalars } from './scalars.ts';
import { isOneOf } from '../../core/json/json-value.ts';

/** The connections to all subgraphs, by name. */
export type Subgraphs = Readonly<Record<SubgraphName, SubgraphConnection>>;

/** A loaded supergraph. */
export interface Composition {
  readonly supergraphSdl: string;
  /** The schema that clients see. */
  readonly apiSchema: GraphQLSchema;
  readonly gateway: ApolloGateway;
}

type ProcessOptions = GraphQLDataSourceProcessOptions<GatewayContext & Record<string, unknown>>;

/**
 * Says whether a request belongs to an incoming operation. It always does, because the supergraph comes from a file and
 * nothing is introspected or polled. (The package does not export the values of its enum.)
 */
function isIncoming(options: ProcessOptions): options is ProcessOptions & { context: GatewayContext } {
  return String(options.kind) === 'incoming operation';
}

/** Makes the data source that passes fetches of query plans to a subgraph, with the caller's identity. */
function dataSource(subgraph: SubgraphConnection): GraphQLDataSource<GatewayContext & Record<string, unknown>> {
  return {
    async process(options) {
      if (!isIncoming(options)) throw new Error(`Unexpected ${options.kind}`);
      const { query = '', operationName, variables } = options.request;
      try {
        // The plan's executor merges data into this answer, so an answer from the same process must not be shared.
        return await subgraph.execute({ query, operationName, variables, identity: options.context.identity });
      } catch (error) {
        if (!(error instanceof FleetFlagError)) throw error;
        return { errors: [clientError(error)] };
      }
    },
  };
}

/** Reads the supergraph that this build was made with. */
function readSupergraph(): string {
  return readFileSync(new URL('supergraph.graphql', import.meta.url), 'utf8');
}

function apiSchemaOf(supergraphSdl: string): GraphQLSchema {
  const schema = Supergraph.build(supergraphSdl, { validateSupergraph: false }).apiSchema().toGraphQLJSSchema();
  giveScalars(schema);
  return schema;
}

/** Throws an Error where a text is no supergraph of these subgraphs. */
function refuseStrange(supergraphSdl: string): void {
  for (const { name } of Supergraph.build(supergraphSdl, { validateSupergraph: true }).subgraphsMetadata())
    if (!isOneOf(SUBGRAPH_NAMES, name)) throw new Error(`The supergraph names an unknown subgraph: ${name}`);
}

/** Reads the schema that clients see, without building a gateway. */
export function readApiSchema(): GraphQLSchema {
  return apiSchemaOf(readSupergraph());
}

/**
 * Builds the executor of query plans over `subgraphs`.
 *
 * @param given a supergraph that was made elsewhere; by default that of this build
 * @throws Error where it is no supergraph, or names a subgraph that there is not
 */
export function compose(subgraphs: Subgraphs, given?: string): Composition {
  const supergraphSdl = given ?? readSupergraph();
  if (given !== undefined) refuseStrange(given);
  // Without this variable, the package reports its use to its vendor and asks the network in which cloud it runs. It
  // has no option for that. FleetFlag must not contact any other host.
  // oxlint-disable-next-line no-restricted-properties
  process.env['APOLLO_TELEMETRY_DISABLED'] = '1';
  const gateway = new ApolloGateway({
    supergraphSdl,
    // `npm run schema` has composed it, and a test keeps it up to date: validating it takes a fifth of a second more.
    validateSupergraph: false,
    buildService({ name }) {
      if (!isOneOf(SUBGRAPH_NAMES, name)) throw new Error(`The supergraph names an unknown subgraph: ${name}`);
      return dataSource(subgraphs[name]);
    },
  });
  // This turns off the package's check of variables. authorizeOperation and the subgraph check them as well, and for a
  // batch of measurements the check takes as long as running it.
  Object.assign(gateway, { validateIncomingRequest: () => [] });
  const apiSchema = apiSchemaOf(supergraphSdl);
  const { executor } = gateway;
  const answering: typeof executor = async (context) =>
    (await answerIntrospection(apiSchema, context.document, context.operation, context.request.variables ?? {})) ??
    executor(context);
  const load: ApolloGateway['load'] = async (options) => {
    const loaded = await ApolloGateway.prototype.load.call(gateway, options);
    giveScalars(loaded.schema);
    return loaded;
  };
  Object.assign(gateway, { executor: answering, load });
  return { supergraphSdl, apiSchema, gateway };
}
