/**
 * The supergraph that the gateway loads (written by `npm run schema`), and the way from its query plans to the
 * subgraphs' connections.
 */
import { readFileSync } from 'node:fs';
import { ApolloGateway, type GraphQLDataSource, type GraphQLDataSourceProcessOptions } from '@apollo/gateway';
import { Supergraph } from '@apollo/federation-internals';
import type { GraphQLSchema } from 'graphql';
import { FleetFlagError } from '../../core/errors.ts';
import { clientError } from '../../core/wire/error-form.ts';
import { SUBGRAPH_NAMES, type SubgraphConnection, type SubgraphName } from '../../core/wire/subgraph.ts';
import type { GatewayContext } from '../context.ts';
import { answerIntrospection } from './introspection.ts';
import { giveScalars } from './scalars.ts';
import { isOneOf } from '../../core/json/json-value.ts';

export type Subgraphs = Readonly<Record<SubgraphName, SubgraphConnection>>;

export interface Composition {
  readonly supergraphSdl: string;
  /** The schema that clients see. */
  readonly apiSchema: GraphQLSchema;
  readonly gateway: ApolloGateway;
}

type ProcessOptions = GraphQLDataSourceProcessOptions<GatewayContext & Record<string, unknown>>;

/**
 * The supergraph comes from a file, so nothing is ever introspected or polled. (The package does not export its enum's
 * values.)
 */
function isIncoming(options: ProcessOptions): options is ProcessOptions & { context: GatewayContext } {
  return String(options.kind) === 'incoming operation';
}

/** Hands a fetch of a query plan to its subgraph, under the caller's identity. */
function dataSource(subgraph: SubgraphConnection): GraphQLDataSource<GatewayContext & Record<string, unknown>> {
  return {
    async process(options) {
      if (!isIncoming(options)) throw new Error(`Unexpected ${options.kind}`);
      const { query = '', operationName, variables } = options.request;
      try {
        // The plan's executor merges into what it is given: an in-process answer must not be shared with anybody.
        return await subgraph.execute({ query, operationName, variables, identity: options.context.identity });
      } catch (error) {
        if (!(error instanceof FleetFlagError)) throw error;
        return { errors: [clientError(error)] };
      }
    },
  };
}

function readSupergraph(): string {
  return readFileSync(new URL('supergraph.graphql', import.meta.url), 'utf8');
}

function apiSchemaOf(supergraphSdl: string): GraphQLSchema {
  const schema = Supergraph.build(supergraphSdl).apiSchema().toGraphQLJSSchema();
  giveScalars(schema);
  return schema;
}

/** The schema that clients see, without a gateway to serve it. */
export function readApiSchema(): GraphQLSchema {
  return apiSchemaOf(readSupergraph());
}

/** Builds the gateway's executor over `subgraphs`. */
export function compose(subgraphs: Subgraphs): Composition {
  const supergraphSdl = readSupergraph();
  // The package reports its use to its maker, and asks the network which cloud it runs in, unless told otherwise by
  // this variable; it takes no option for it. Nothing of ours talks to any other host.
  // eslint-disable-next-line no-restricted-properties
  process.env['APOLLO_TELEMETRY_DISABLED'] = '1';
  const gateway = new ApolloGateway({
    supergraphSdl,
    buildService({ name }) {
      if (!isOneOf(SUBGRAPH_NAMES, name)) throw new Error(`The supergraph names an unknown subgraph: ${name}`);
      return dataSource(subgraphs[name]);
    },
  });
  // The package's own check of variables: each operation has had it (authorizeOperation) and has it again in the
  // subgraph, and of a batch of measurements it takes as long as running it.
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
