/**
 * Plans subscriptions, also those that cross subgraphs: the request to the owning subgraph (the primary), and the
 * fetches from the other subgraphs for each event. Apollo's planner makes such plans, but its gateway cannot run them.
 */
import { buildOperationContext } from '@apollo/gateway';
import { Supergraph, operationFromDocument, type Schema } from '@apollo/federation-internals';
import { QueryPlanner, type FetchNode, type QueryPlan } from '@apollo/query-planner';
import { Kind, type DocumentNode, type GraphQLSchema, type OperationDefinitionNode } from 'graphql';
import { FleetFlagError } from '../../core/errors.ts';
import { SUBGRAPH_NAMES, type SubgraphName } from '../../core/wire/subgraph/subgraph.ts';

/** The service name that stands for the event itself in `perEvent`. No subgraph can have this name. */
export const EVENT_SERVICE = '#event';

/** The plan of a subscription. */
export interface SubscriptionPlan {
  readonly subgraph: SubgraphName;
  /** The subscription at `subgraph`. */
  readonly primary: FetchNode;
  /** The plan for each event: the event is the answer to the primary; then the other subgraphs are fetched. */
  readonly perEvent: QueryPlan;
  readonly operationContext: ReturnType<typeof buildOperationContext>;
  readonly planner: SubscriptionPlanner;
  /** Whether events may be skipped for a slow client: each names its predecessor, so the client notices the gap. */
  readonly isSkippable: boolean;
}

/** The field by which an event names its predecessor. */
const PREDECESSOR = 'previousRevision';

/** Plans subscriptions against one supergraph. */
export class SubscriptionPlanner {
  readonly apiSchema: Schema;
  readonly supergraphSchema: GraphQLSchema;
  private readonly planner: QueryPlanner;
  private readonly clientSchema: GraphQLSchema;
  /**
   * The plans by operation name (the empty string for none). A repeated document is the same object
   * (operations/limits/document-cache.ts).
   */
  private readonly plans = new WeakMap<DocumentNode, Map<string, SubscriptionPlan>>();

  /** @param supergraphSdl a composed supergraph (core schema) */
  constructor(supergraphSdl: string) {
    const supergraph = Supergraph.build(supergraphSdl, { validateSupergraph: false });
    this.apiSchema = supergraph.apiSchema();
    this.clientSchema = this.apiSchema.toGraphQLJSSchema();
    this.supergraphSchema = supergraph.schema.toGraphQLJSSchema();
    this.planner = new QueryPlanner(supergraph);
  }

  /**
   * Plans a subscription, or finds the plan that was made before.
   *
   * @param document a document that is valid against this supergraph's API schema and whose operation is a subscription
   * @throws FleetFlagError BAD_USER_INPUT where no field is left to subscribe to, as with `@skip(if: true)`
   */
  plan(document: DocumentNode, operationName: string | undefined): SubscriptionPlan {
    let ofDocument = this.plans.get(document);
    if (ofDocument === undefined) this.plans.set(document, (ofDocument = new Map<string, SubscriptionPlan>()));
    let plan = ofDocument.get(operationName ?? '');
    if (plan === undefined) ofDocument.set(operationName ?? '', (plan = this.build(document, operationName)));
    return plan;
  }

  private build(document: DocumentNode, operationName: string | undefined): SubscriptionPlan {
    const operationContext = buildOperationContext({
      schema: this.clientSchema,
      operationDocument: document,
      ...(operationName === undefined ? {} : { operationName }),
    });
    const operation = operationFromDocument(
      this.apiSchema,
      document,
      operationName === undefined ? {} : { operationName },
    );
    const { node } = this.planner.buildQueryPlan(operation);
    if (node?.kind !== 'Subscription') {
      throw new FleetFlagError('BAD_USER_INPUT', 'The subscription selects no field.', { field: 'query' });
    }
    const { primary, rest } = node;
    const subgraph = SUBGRAPH_NAMES.find((name) => name === primary.serviceName);
    if (subgraph === undefined) throw new Error(`The query plan names an unknown subgraph: ${primary.serviceName}`);
    const event: FetchNode = { ...primary, serviceName: EVENT_SERVICE };
    return {
      subgraph,
      primary,
      perEvent: { kind: 'QueryPlan', node: rest === undefined ? event : { kind: 'Sequence', nodes: [event, rest] } },
      operationContext,
      planner: this,
      isSkippable: selectsPredecessor(operationContext.operation),
    };
  }
}

/**
 * Checks whether the subscription has one root field and selects the predecessor there, unconditionally and not through
 * a fragment.
 */
function selectsPredecessor({ selectionSet }: OperationDefinitionNode): boolean {
  const [field, ...others] = selectionSet.selections;
  if (field?.kind !== Kind.FIELD || others.length > 0) return false;
  const selected = field.selectionSet?.selections ?? [];
  return selected.some(
    (node) => node.kind === Kind.FIELD && node.name.value === PREDECESSOR && (node.directives ?? []).length === 0,
  );
}
