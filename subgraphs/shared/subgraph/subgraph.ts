/** The common parts of every subgraph: its SDL, its resolvers, and the permission checks before each field. */
import { readFileSync } from 'node:fs';
import { buildSubgraphSchema } from '@apollo/subgraph';
import type { GraphQLSchemaModule } from '@apollo/subgraph/dist/schema-helper/resolverMap.js';
import {
  GraphQLError,
  GraphQLScalarType,
  Kind,
  isInputObjectType,
  isObjectType,
  parse,
  valueFromAST,
  type DocumentNode,
  type GraphQLArgument,
  type GraphQLFieldResolver,
  type GraphQLFormattedError,
  type GraphQLInputField,
  type GraphQLSchema,
} from 'graphql';
import { GraphQLDateTimeISO, GraphQLJSON } from 'graphql-scalars';
import type { Logger } from 'pino';
import type { FleetFlagError } from '../../../core/errors.ts';
import { PERMISSIONS, refusalOf } from '../../../core/access/permissions.ts';
import type { Caller, CallerIdentity } from '../../../core/access/caller.ts';
import { clientError } from '../../../core/wire/api/error-form.ts';
import type { SubgraphName } from '../../../core/wire/subgraph/subgraph.ts';
import { checkTime } from '../../../core/validation/time.ts';
import type { SubgraphMetrics } from '../monitoring/subgraph-metrics.ts';
import type { LaggingReads, ReplicaReads } from '../postgres/replica-reads.ts';
import { asServiceError } from '../postgres/service-error.ts';
import { PreparedDocuments } from './prepared-documents.ts';
import { isObject, membersOf, type Members } from '../../../core/json/json-value.ts';

/** The notes of resolvers about the answer that they make. */
export interface AnswerNotes {
  /** Whether a part of it is as last known, because the database could not be read for it. */
  remembered: boolean;
  /** Whether the event of a subscription that is being resolved must not wait for others to go with it. */
  urgent?: boolean;
  /** Milliseconds since 1970 of the change of a subscription's event. */
  changedAtMs?: number;
}

/** The context that resolvers receive beside their arguments. `services` is the subgraph's own. */
export interface SubgraphContext<Services = unknown> {
  readonly identity: CallerIdentity;
  readonly notes: AnswerNotes;
  readonly services: Services;
}

/** A subgraph that is ready to run operations. */
export interface Subgraph {
  readonly name: SubgraphName;
  readonly schema: GraphQLSchema;
  readonly documents: PreparedDocuments;
  /** Creates the context of one request, with its loaders, so that callers share nothing. */
  context(identity: CallerIdentity): SubgraphContext;
  /** Notes what a caller may have seen (../postgres/replica-reads.ts); called before an answer leaves. */
  seen(caller: Caller, isMutation: boolean): Promise<void>;
  readonly logger: Logger;
  /** Counts its operations and streams. */
  readonly metrics?: SubgraphMetrics | undefined;
}

/** The parts from which a subgraph is built. */
export interface SubgraphOptions<Services> {
  readonly name: SubgraphName;
  /** Resolvers whose types are generated from the SDL: `generated/resolvers.ts` of the subgraph. */
  readonly resolvers: NonNullable<GraphQLSchemaModule['resolvers']>;
  readonly services: (identity: CallerIdentity, notes: AnswerNotes, lagging: LaggingReads) => Services;
  /** The place where what may lag is read; only subgraphs without a database have none. */
  readonly reads?: ReplicaReads;
  readonly logger: Logger;
  readonly metrics?: SubgraphMetrics | undefined;
}

/** Gives the refusal when `caller` may not resolve these entities, or null. */
function entityRefusal({ representations }: Members, caller: Caller): FleetFlagError | null {
  const named: readonly unknown[] = Array.isArray(representations) ? representations : [];
  for (const representation of named.map(membersOf)) {
    const name = `Entity.${String(representation['__typename'])}`;
    const permission = PERMISSIONS[name];
    const refusal = permission === undefined ? null : refusalOf(permission, name, caller, representation);
    if (refusal !== null) return refusal;
  }
  return null;
}

type GuardedResolver = GraphQLFieldResolver<unknown, SubgraphContext, Members>;

/** Puts the permission table before every root field, every listed field and every field of a listed type. */
function guard(schema: GraphQLSchema): void {
  const roots = new Set([schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]);
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || type.name.startsWith('__')) continue;
    for (const field of Object.values(type.getFields())) {
      const name = `${type.name}.${field.name}`;
      const listed = PERMISSIONS[name] ?? PERMISSIONS[type.name];
      // Entities are resolved only for permitted callers, and each field below them has its own guard.
      const federated = field.name === '_entities';
      const permission = federated ? PERMISSIONS['Federation'] : listed;
      if (permission === undefined && !roots.has(type)) continue;
      const guarded =
        (resolve: GuardedResolver): GuardedResolver =>
        (source, args, context, info) => {
          const { caller } = context.identity;
          const refusal = refusalOf(permission, name, caller, args) ?? (federated ? entityRefusal(args, caller) : null);
          if (refusal !== null) throw refusal;
          return resolve(source, args, context, info);
        };
      if (field.subscribe !== undefined) field.subscribe = guarded(field.subscribe);
      else if (field.resolve !== undefined) field.resolve = guarded(field.resolve);
      else field.resolve = guarded((source) => membersOf(source)[field.name]);
    }
  }
}

/** Recomputes the SDL's default values, which were read before the resolvers set enums' stored values. */
function restoreDefaults(schema: GraphQLSchema): void {
  const restore = (input: GraphQLArgument | GraphQLInputField) => {
    if (input.astNode?.defaultValue !== undefined)
      input.defaultValue = valueFromAST(input.astNode.defaultValue, input.type);
  };
  for (const type of Object.values(schema.getTypeMap())) {
    if (isInputObjectType(type)) Object.values(type.getFields()).forEach(restore);
    else if (isObjectType(type)) Object.values(type.getFields()).forEach((field) => field.args.forEach(restore));
  }
}

/** The gateway already refuses values that are no time; a subgraph trusts no caller and checks again. */
const DATE_TIME = new GraphQLScalarType<Date, string>({
  ...GraphQLDateTimeISO.toConfig(),
  parseValue(value) {
    const time = GraphQLDateTimeISO.parseValue(value);
    checkTime(time);
    return time;
  },
  parseLiteral(node, variables) {
    const time = GraphQLDateTimeISO.parseLiteral(node, variables);
    checkTime(time);
    return time;
  },
});

/**
 * Gives a copy: a gateway in this process merges answers of several subgraphs into each other, and the value may be one
 * that the next answer is made of, too.
 */
function copyOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copyOf);
  if (!isObject(value)) return value;
  // Object.fromEntries defines members instead of assigning them, so that `__proto__` is a member like any other.
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, copyOf(member)]));
}

const JSON_VALUE = new GraphQLScalarType<unknown, unknown>({ ...GraphQLJSON.toConfig(), serialize: copyOf });

/** Gives a duration as it is written: the service that needs it reads it, and names its field where it is none. */
const DURATION = new GraphQLScalarType<unknown, string>({ name: 'Duration' });

const SCALARS: Readonly<Record<string, GraphQLScalarType>> = {
  DateTime: DATE_TIME,
  Duration: DURATION,
  JSON: JSON_VALUE,
};

/**
 * Gives the error that a resolver threw, where it is known. This is the one place that turns a failing store into
 * SERVICE_UNAVAILABLE.
 */
function causeOf(error: unknown): unknown {
  return asServiceError(error instanceof GraphQLError ? error.originalError : error);
}

/** Formats an error of this subgraph for the gateway; see core/wire/api/error-form.ts. */
export function formatForGateway(formatted: GraphQLFormattedError, error: unknown): GraphQLFormattedError {
  return clientError({ ...formatted, originalError: causeOf(error) });
}

/** Logs errors that are faults of ours or of a store; refusals are not logged. */
export function logFaults(errors: readonly GraphQLError[], requestId: string, logger: Logger): void {
  for (const error of errors) {
    const cause = causeOf(error);
    const { code } = clientError({ ...error.toJSON(), originalError: cause }).extensions;
    if (code === 'INTERNAL_SERVER_ERROR')
      logger.error(
        { err: cause ?? error, path: error.path, requestId },
        'Cannot resolve a field; the client gets INTERNAL_SERVER_ERROR',
      );
    if (code === 'SERVICE_UNAVAILABLE')
      logger.warn(
        { err: cause, path: error.path, requestId },
        'Cannot resolve a field: a store is not available; the client gets SERVICE_UNAVAILABLE',
      );
  }
}

/** The scalars that a schema defines. */
function scalarsOf(typeDefs: DocumentNode): Record<string, GraphQLScalarType> {
  const scalars: Record<string, GraphQLScalarType> = {};
  for (const node of typeDefs.definitions) {
    if (node.kind !== Kind.SCALAR_TYPE_DEFINITION) continue;
    const scalar = SCALARS[node.name.value];
    if (scalar === undefined) throw new Error(`The schema defines an unknown scalar, ${node.name.value}`);
    scalars[node.name.value] = scalar;
  }
  return scalars;
}

const NO_READS: ReplicaReads = {
  of: () => ({ read: () => Promise.reject(new Error('This subgraph has no database to read.')) }),
  seen: async () => undefined,
};

/** Builds a subgraph from `subgraphs/<name>/schema.graphql` and its resolvers. */
export async function createSubgraph<Services>(options: SubgraphOptions<Services>): Promise<Subgraph> {
  const { name, logger, reads = NO_READS, metrics } = options;
  const typeDefs = parse(readFileSync(new URL(`../../${name}/schema.graphql`, import.meta.url), 'utf8'));
  const resolvers = { ...options.resolvers, ...scalarsOf(typeDefs) };
  const schema = buildSubgraphSchema([{ typeDefs, resolvers }]);
  restoreDefaults(schema);
  guard(schema);

  return {
    name,
    schema,
    documents: new PreparedDocuments(schema),
    context(identity) {
      const notes = { remembered: false };
      return { identity, notes, services: options.services(identity, notes, reads.of(identity.caller)) };
    },
    seen: (caller, isMutation) => reads.seen(caller, isMutation),
    logger,
    metrics,
  };
}
