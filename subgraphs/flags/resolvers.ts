/** Maps GraphQL to the domain and back for the flags subgraph; it has no logic of its own. */
import DataLoader from 'dataloader';
import { enteredName } from '../../core/evaluation/context.ts';
import { isKilled } from '../../core/evaluation/evaluate.ts';
import { FleetFlagError, badInput } from '../../core/errors.ts';
import type { AnswerInputsJson } from '../../core/wire/answer-inputs.ts';
import { VIN_PATTERN, type Environment, type Evaluation, type EvaluationContext } from '../../core/model.ts';
import { checkJson, isJsonObject } from '../../core/json/json-value.ts';
import { variantOf } from '../../core/evaluation/rules/rule-variant.ts';
import { signedConditions } from '../../core/evaluation/rules/whitelist-digest.ts';
import type { CompleteResolvers } from '../shared/subgraph/complete-resolvers.ts';
import { ENUMS } from '../shared/subgraph/graphql-enums.ts';
import type { FieldOfRow, SharedLoader } from '../shared/postgres/shared-loader.ts';
import { connectionBy, isUuid, readPage } from '../../core/wire/pagination.ts';
import type { SubgraphContext } from '../shared/subgraph/subgraph.ts';
import { withRegisteredFacts, type FactsByVin } from '../shared/between-subgraphs/vehicle-facts.ts';
import type { EvaluationContext as ContextInput, Resolvers, ResolversParentTypes } from './generated/resolvers.ts';
import { evaluate, type Definitions } from './sync/evaluation.ts';
import type { FlagChangeEvent, FlagFeed } from './sync/feed.ts';
import type { Flag } from './flags/flag.ts';
import type { FlagStatistics } from './flags/flag-statistics.ts';
import type { NodeType } from './flags/nodes.ts';
import type { FlagService } from './flags/flag-service.ts';
import type { EnvironmentSnapshots } from './sync/snapshots.ts';
import { NEWEST_FIRST, isPlace } from './flags/flag-order.ts';
import type { ChangeRequest, ChangeRequestStatus } from './changes/change-request.ts';
import type { ChangeRequestFeed } from './changes/change-request-feed.ts';
import type { ChangeRequestService } from './changes/change-request-service.ts';
import type { Rollout } from './rollouts/rollout.ts';
import type { RolloutService } from './rollouts/rollout-service.ts';
import type { Signer } from './signing/signing.ts';
import { checkNonce, type SyncService } from './sync/sync.ts';

/** The services of one request. */
export interface FlagsServices {
  /** Looks up vehicles' registered facts, batched over all requests. */
  readonly registered: FactsByVin;
  readonly signer: Signer;
  readonly flags: FlagService;
  readonly statistics: SharedLoader<Flag, FlagStatistics | null>;
  readonly snapshots: EnvironmentSnapshots;
  /** Gives the definitions that vehicles of an environment have, as last read while the database is down. */
  readonly definitions: (environment: Environment) => Promise<Definitions>;
  readonly sync: SyncService;
  /** Reads what decides whether answers still hold, in the form in which gateways get it. */
  readonly answerInputs: (vins: readonly string[], keys: readonly string[]) => Promise<AnswerInputsJson>;
  readonly feed: FlagFeed;
  readonly requests: ChangeRequestService;
  readonly requestById: SharedLoader<string, ChangeRequest | null>;
  readonly requestsOf: SharedLoader<FieldOfRow<ChangeRequestStatus | null>, ChangeRequest[] | null>;
  readonly requestFeed: ChangeRequestFeed;
  readonly rollouts: RolloutService;
  readonly rolloutOfRule: DataLoader<string, Rollout | null>;
  readonly typeOfNode: (id: string) => Promise<NodeType | null>;
  readonly byId: DataLoader<string, Flag | null>;
  readonly byKey: DataLoader<string, Flag | null>;
}

/** The context of this subgraph's resolvers. */
export type Context = SubgraphContext<FlagsServices>;

/** Creates one request's loaders of flags, so that a list of entities costs one query. */
export function flagLoaders(flags: FlagService): Pick<FlagsServices, 'byId' | 'byKey'> {
  const load = (name: 'id' | 'key', find: (names: readonly string[]) => Promise<Flag[]>) =>
    new DataLoader<string, Flag | null>(async (names) => {
      const found = new Map((await find(names)).map((flag) => [flag[name], flag]));
      return names.map((wanted) => found.get(wanted) ?? null);
    });
  return { byId: load('id', (ids) => flags.byIds(ids)), byKey: load('key', (keys) => flags.byKeys(keys)) };
}

/** Creates a loader that batches but does not cache: a subscription's context lives long, and rollouts change. */
export function rolloutLoader(rollouts: RolloutService): DataLoader<string, Rollout | null> {
  return new DataLoader(
    async (ruleIds) => {
      const found = await rollouts.ofRules(ruleIds);
      return ruleIds.map((id) => found.get(id) ?? null);
    },
    { cache: false },
  );
}

/** A flag in memory has the statistics of when it was read. */
const statisticsOf = async (flag: Flag, { statistics }: FlagsServices): Promise<FlagStatistics> =>
  (await statistics.load(flag)) ?? flag;

const userReference = (id: string) => ({ id });
const userReferenceOrNull = (id: string | null) => (id === null ? null : userReference(id));

/**
 * Reads an evaluation's context. An invalid VIN is refused, because it is probably mistyped; without a VIN, the
 * evaluation is for no particular vehicle.
 */
function readContext({ attributes = null, ...context }: ContextInput): EvaluationContext {
  if (context.vin && !VIN_PATTERN.test(context.vin))
    throw badInput('context.vin', 'A VIN must have 17 characters: digits and capital letters except I, O and Q.');
  checkJson(attributes, 'context.attributes');
  if (attributes !== null && !isJsonObject(attributes))
    throw badInput('context.attributes', 'attributes must be a JSON object.');
  return { ...context, attributes, model: enteredName(context.model), region: enteredName(context.region) };
}

const toEvaluation = (flag: { readonly key: string }, evaluation: Evaluation) => ({ flagKey: flag.key, ...evaluation });

async function evaluateAll(services: FlagsServices, environment: Environment, context: EvaluationContext) {
  const { definitions } = await services.definitions(environment);
  return definitions.map((flag) => toEvaluation(flag.definition, evaluate(flag, context)));
}

/** A node with the type name by which GraphQL resolves it. */
type Node = ResolversParentTypes['Node'] & { readonly __typename: NodeType };

/** Finds a node: this subgraph's own entities in full, others as references. */
async function findNode(given: string, services: FlagsServices): Promise<Node | null> {
  const id = given.toLowerCase();
  const type = await services.typeOfNode(given);
  switch (type) {
    case null:
      return null;
    case 'Vehicle':
      return (await services.registered.load(given)) && { __typename: type, vin: given };
    case 'Flag': {
      const flag = await services.byId.load(id);
      return flag && { ...flag, __typename: type };
    }
    case 'ChangeRequest': {
      const request = await services.requestById.load(id);
      return request && { ...request, __typename: type };
    }
    case 'Experiment':
    case 'User':
    case 'AuditLog':
      return { __typename: type, id };
  }
}

function ruleId(id: string): string {
  if (!isUuid(id)) throw new FleetFlagError('NOT_FOUND', 'This rule does not exist.', { field: 'id' });
  return id;
}

/** The resolvers of the flags subgraph. */
export const resolvers: CompleteResolvers<Resolvers, ResolversParentTypes> = {
  Environment: ENUMS.Environment,
  SafetyLevel: ENUMS.SafetyLevel,
  FlagType: ENUMS.FlagType,
  RuleType: ENUMS.RuleType,
  ChangeRequestStatus: ENUMS.ChangeRequestStatus,
  RolloutStatus: ENUMS.RolloutStatus,
  GuardDirection: ENUMS.GuardDirection,
  GuardVerdict: ENUMS.GuardVerdict,
  FlagOrderField: ENUMS.FlagOrderField,
  OrderDirection: ENUMS.OrderDirection,

  Query: {
    node: (_, { id }, { services }) => findNode(id, services),
    flag: (_, { key }, { services }) => services.byKey.load(key),
    async flags(_, args, { services }) {
      const order = args.orderBy ?? NEWEST_FIRST;
      const page = readPage(args, (text) => isPlace(order, text));
      const { flags, totalCount, more, nameOf } = await services.flags.search(args.filter ?? {}, page, order);
      return connectionBy(flags, nameOf, page, more, totalCount);
    },
    async evaluateFlag(_, args, { services }) {
      const context = await withRegisteredFacts(services.registered, readContext(args.context));
      const flag = await services.byKey.load(args.key);
      if (flag === null || flag.archivedAt !== null || flag.draft) {
        throw new FleetFlagError('NOT_FOUND', `There is no flag ${JSON.stringify(args.key)}.`, { field: 'key' });
      }
      return toEvaluation(flag, evaluate({ definition: flag, jws: flag.signedDefinition }, context));
    },
    async evaluateFlags(_, args, { services }) {
      const context = await withRegisteredFacts(services.registered, readContext(args.context));
      return evaluateAll(services, args.environment, context);
    },
    changeRequests: (_, { status }, { services }) => services.requests.list({ status: status ?? null }),
    flagSync: (_, { environment, since, nonce }, { services, identity, notes }) =>
      nonce == null
        ? services.sync.sync(environment, since ?? 0, notes)
        : services.sync.syncFor(identity.caller, nonce, environment, since ?? 0),
    flagProof: (_, { environment }, { services, notes }) => services.sync.proof(environment, notes),
    async vehicleFacts(_, { nonce }, { services, identity: { caller } }) {
      if (caller.kind !== 'vehicle' || caller.vin === null)
        throw new FleetFlagError('FORBIDDEN', 'Only a vehicle may ask for its own registered facts.');
      checkNonce(nonce);
      const facts = await services.registered.load(caller.vin);
      if (facts === null) throw new FleetFlagError('NOT_FOUND', 'This vehicle is not registered.');
      return services.signer.vehicleFacts(caller.vin, facts, nonce);
    },
    answerInputs: (_, { vins, keys }, { services }) => services.answerInputs(vins, keys),
  },

  Mutation: {
    createFlag: (_, { input }, { services, identity }) => services.flags.createFlag(identity, input),
    updateFlag: (_, { key, input, expectedRevision, force }, { services, identity }) =>
      services.flags.updateFlag(identity, key, input, expectedRevision, force),
    enableFlag: (_, { key, expectedRevision }, { services, identity }) =>
      services.flags.setEnabled(identity, key, true, expectedRevision),
    disableFlag: (_, { key, expectedRevision }, { services, identity }) =>
      services.flags.setEnabled(identity, key, false, expectedRevision),
    archiveFlag: (_, { key, expectedRevision, force }, { services, identity }) =>
      services.flags.archiveFlag(identity, key, expectedRevision, force),
    createRule: (_, { flagKey, input, expectedRevision, force }, { services, identity }) =>
      services.flags.createRule(identity, flagKey, input, expectedRevision, force),
    updateRule: (_, { id, input, expectedRevision, force, reason }, { services, identity }) =>
      services.flags.updateRule(identity, ruleId(id), input, expectedRevision, force, reason),
    deleteRule: (_, { id, expectedRevision, force, reason }, { services, identity }) =>
      services.flags.deleteRule(identity, ruleId(id), expectedRevision, force, reason),
    killSwitch: (_, { flagKey, reason }, { services, identity }) =>
      services.flags.killSwitch(identity, flagKey, reason),
    releaseKillSwitch: (_, { flagKey, reason }, { services, identity }) =>
      services.flags.releaseKillSwitch(identity, flagKey, reason),
    approveChangeRequest: (_, { id, comment }, { services, identity }) =>
      services.requests.approve(identity, id, comment),
    rejectChangeRequest: (_, { id, comment }, { services, identity }) =>
      services.requests.reject(identity, id, comment),
    cancelChangeRequest: (_, { id }, { services, identity }) => services.requests.cancel(identity, id),
    scheduleRollout: (_, args, { services, identity }) =>
      services.rollouts.schedule(identity, args.flagKey, args.ruleId, args.steps, {
        guard: args.guard,
        expectedRevision: args.expectedRevision,
      }),
    pauseRollout: (_, { id, reason }, { services, identity }) => services.rollouts.pause(identity, id, reason),
    resumeRollout: (_, { id }, { services, identity }) => services.rollouts.resume(identity, id),
    cancelRollout: (_, { id, reason }, { services, identity }) => services.rollouts.cancel(identity, id, reason),
  },

  Subscription: {
    flagChanges: {
      subscribe: (_, { environment }, { services }) => services.feed.changes(environment),
      resolve: (event: FlagChangeEvent) => event,
    },
    changeRequestChanges: {
      async subscribe(_, __, { services }) {
        const requests = services.requestFeed.subscribe();
        await requests.established;
        return requests;
      },
      resolve(request: ChangeRequest, _: unknown, { services }: Context) {
        // The loader lives as long as the subscription, and the flag has changed meanwhile.
        services.byId.clear(request.flagId);
        return request;
      },
    },
  },

  Flag: {
    async __resolveReference(reference, { services, identity: { caller } }) {
      if ('id' in reference && !isUuid(reference.id)) return null;
      const flag =
        'id' in reference ? await services.byId.load(reference.id) : await services.byKey.load(reference.key);
      // As in its stream, a vehicle sees only the flags of its own environment.
      return caller.kind === 'vehicle' && (flag?.environment !== caller.environment || flag.draft) ? null : flag;
    },
    killed: (flag) => isKilled(flag.rules),
    totalEvaluations: async (flag, _, { services }) => (await statisticsOf(flag, services)).totalEvaluations,
    activeVehicles: async (flag, _, { services }) => (await statisticsOf(flag, services)).activeVehicles,
    lastEvaluationAt: async (flag, _, { services }) => (await statisticsOf(flag, services)).lastEvaluationAt,
    createdBy: (flag) => userReferenceOrNull(flag.createdById),
    updatedBy: (flag) => userReferenceOrNull(flag.updatedById),
    changeRequests: async ({ id }, { status = null }, { services }) =>
      (await services.requestsOf.load({ id, given: status })) ?? [],
  },

  ChangeRequest: {
    __resolveReference: ({ id }, { services }) => (isUuid(id) ? services.requestById.load(id.toLowerCase()) : null),
    async flag({ id, flagId }, _, { services }) {
      const flag = await services.byId.load(flagId);
      if (flag === null) throw new Error(`Flag ${flagId} of change request ${id} is gone`);
      return flag;
    },
    outdated: async (request, _, { services }) =>
      request.status === 'pending' && (await services.byId.load(request.flagId))?.revision !== request.flagRevision,
    requestedBy: (request) => userReference(request.requestedById),
    reviewedBy: (request) => userReferenceOrNull(request.reviewedById),
  },

  Rule: {
    // Vehicles never receive other vehicles' VINs (design.md, "Trust in what a vehicle applies").
    conditions: (rule, _, { identity }) =>
      identity.caller.kind === 'vehicle' ? signedConditions(rule) : rule.conditions,
    variant: (rule) => variantOf(rule),
    rollout: (rule, _, { services }) => services.rolloutOfRule.load(rule.id),
  },

  Rollout: {
    __resolveReference: ({ id }, { services }) => (isUuid(id) ? services.rollouts.byId(id) : null),
    guardStatus({ guard, guardStatus }) {
      // A verdict of an earlier watch concerns another percentage.
      if (guardStatus === null || guardStatus.watch !== guard?.watch) return null;
      const { verdict, computedAt, figures } = guardStatus;
      const { lastMeasurementAt } = figures;
      return {
        ...figures,
        worsePercentInterval: null,
        lastMeasurementAt: lastMeasurementAt === null ? null : new Date(lastMeasurementAt),
        verdict,
        computedAt,
      };
    },
    scheduledBy: (rollout) => userReference(rollout.scheduledById),
    approvedBy: (rollout) => userReferenceOrNull(rollout.approvedById),
    changeRequest: ({ changeRequestId }, _, { services }) =>
      changeRequestId === null ? null : services.requestById.load(changeRequestId),
  },

  RolloutGuard: {
    silenceSeconds: (guard) => guard.silence / 1000,
    watchForSeconds: (guard) => guard.watchFor / 1000,
  },

  RolloutStep: {
    at: (step) => step.dueAt,
  },

  Vehicle: {
    __resolveReference: (reference) => reference,
    id: ({ vin }) => vin,
    evaluations: (vehicle, { environment }, { services }) => evaluateAll(services, environment, vehicle),
  },
};
