/** GraphQL to domain and back, for the flags subgraph; no logic of its own. */
import DataLoader from 'dataloader';
import { enteredName } from '../../core/evaluation/context.ts';
import { isKilled } from '../../core/evaluation/evaluate.ts';
import { FleetFlagError, badInput } from '../../core/errors.ts';
import {
  VIN_PATTERN,
  type Environment,
  type Evaluation,
  type EvaluationContext,
  type JsonObject,
  type JsonValue,
} from '../../core/model.ts';
import { checkJson } from '../../core/json/json-value.ts';
import type { GuardFigures, RolloutGuard, RolloutGuardDraft } from '../../core/rollouts/rollout-guard.ts';
import { variantOf } from '../../core/evaluation/rules/rule-variant.ts';
import { signedConditions } from '../../core/evaluation/rules/whitelist-digest.ts';
import type { CallerIdentity } from '../../core/access/caller.ts';
import { ENUMS } from '../shared/subgraph/graphql-enums.ts';
import { connectionBy, isUuid, readPage, type PageArguments } from '../shared/subgraph/pagination.ts';
import type { Resolvers, SubgraphContext } from '../shared/subgraph/subgraph.ts';
import { withRegisteredFacts, type FactsByVin } from '../shared/between-subgraphs/vehicle-facts.ts';
import { evaluate } from './sync/evaluation.ts';
import type { FlagChangeEvent, FlagFeed } from './sync/feed.ts';
import type { Flag, Rule } from './flags/flag.ts';
import type { NodeType } from './flags/nodes.ts';
import type { RuleInput } from './changes/rule-edits.ts';
import type { CreateFlagInput, FlagService, UpdateFlagInput, UpdateRuleInput } from './flags/flag-service.ts';
import type { EnvironmentSnapshots } from './sync/snapshots.ts';
import { NEWEST_FIRST, isPlace, type FlagOrder } from './flags/flag-order.ts';
import type { FlagSearch } from './flags/flag-search.ts';
import type { ChangeRequest, ChangeRequestStatus } from './changes/change-request.ts';
import type { ChangeRequestFeed } from './changes/change-request-feed.ts';
import type { ChangeRequestService } from './changes/change-request-service.ts';
import type { Rollout, RolloutStep } from './rollouts/rollout.ts';
import type { GuardStatus } from './rollouts/rollout-guard.ts';
import type { RolloutService, RolloutStepInput } from './rollouts/rollout-service.ts';
import type { Signer } from './signing/signing.ts';
import { checkNonce, type SyncService } from './sync/sync.ts';

export interface FlagsServices {
  /** The registered facts of vehicles, read together for all requests. */
  readonly registered: FactsByVin;
  readonly signer: Signer;
  readonly flags: FlagService;
  readonly snapshots: EnvironmentSnapshots;
  readonly sync: SyncService;
  readonly feed: FlagFeed;
  readonly requests: ChangeRequestService;
  readonly requestFeed: ChangeRequestFeed;
  readonly rollouts: RolloutService;
  readonly rolloutOfRule: DataLoader<string, Rollout | null>;
  readonly typeOfNode: (id: string) => Promise<NodeType | null>;
  readonly byId: DataLoader<string, Flag | null>;
  readonly byKey: DataLoader<string, Flag | null>;
}

type Context = SubgraphContext<FlagsServices>;

/** Loaders of one request: a list of entities costs one query. */
export function flagLoaders(flags: FlagService): Pick<FlagsServices, 'byId' | 'byKey'> {
  const load = (name: 'id' | 'key', find: (names: readonly string[]) => Promise<Flag[]>) =>
    new DataLoader<string, Flag | null>(async (names) => {
      const found = new Map((await find(names)).map((flag) => [flag[name], flag]));
      return names.map((wanted) => found.get(wanted) ?? null);
    });
  return { byId: load('id', (ids) => flags.byIds(ids)), byKey: load('key', (keys) => flags.byKeys(keys)) };
}

/** Batches, but keeps nothing: a subscription's context lives long, and rollouts move on. */
export function rolloutLoader(rollouts: RolloutService): DataLoader<string, Rollout | null> {
  return new DataLoader(
    async (ruleIds) => {
      const found = await rollouts.ofRules(ruleIds);
      return ruleIds.map((id) => found.get(id) ?? null);
    },
    { cache: false },
  );
}

const userReference = (id: string | null) => (id === null ? null : { __typename: 'User', id });

/** Who asks for a vehicle that cannot exist has mistyped; no VIN at all is an evaluation for nobody in particular. */
function readContext(context: EvaluationContext): EvaluationContext {
  const { vin, attributes } = context;
  if (vin && !VIN_PATTERN.test(vin))
    throw badInput('context.vin', 'A VIN must have 17 characters: digits and capital letters except I, O and Q.');
  if (
    attributes !== null &&
    attributes !== undefined &&
    (typeof attributes !== 'object' || Array.isArray(attributes))
  ) {
    throw badInput('context.attributes', 'attributes is a JSON object.');
  }
  checkJson(attributes ?? null, 'context.attributes');
  return { ...context, model: enteredName(context.model), region: enteredName(context.region) };
}

const toEvaluation = (flag: { readonly key: string }, evaluation: Evaluation) => ({ flagKey: flag.key, ...evaluation });

async function evaluateAll(services: FlagsServices, environment: Environment, context: EvaluationContext) {
  const flags = await services.snapshots.definitions(environment);
  return flags.map((flag) => toEvaluation(flag.definition, evaluate(flag, context)));
}

/** What this subgraph has of it: all of what is its own, and of others' what they are named by. */
async function findNode(given: string, services: FlagsServices): Promise<object | null> {
  const type = await services.typeOfNode(given);
  if (type === null) return null;
  if (type === 'Vehicle') return (await services.registered.load(given)) && { __typename: type, vin: given };
  const id = given.toLowerCase();
  const own =
    type === 'Flag'
      ? await services.byId.load(id)
      : type === 'ChangeRequest'
        ? (await services.requests.byIds([id]))[0]
        : { id };
  return own ? { ...own, __typename: type } : null;
}

function ruleId(id: string): string {
  if (!isUuid(id)) throw new FleetFlagError('NOT_FOUND', 'There is no such rule.', { field: 'id' });
  return id;
}

const FIGURES = [
  'controlVehicles',
  'treatmentVehicles',
  'vehiclesInBothArms',
  'controlMean',
  'treatmentMean',
  'worsePercent',
  'worsePercentInterval',
  'pValue',
  'significance',
  'lastMeasurementAt',
] as const satisfies readonly (keyof GuardFigures)[];

type RolloutStop = { id: string; reason?: string | null };

/** What is reviewed is one of these. */
type Decision = { id: string; comment?: string | null };

type Change<Input = unknown> = {
  key: string;
  flagKey: string;
  id: string;
  input: Input;
  expectedRevision?: number | null;
  force?: boolean | null;
  reason: string;
};

export const resolvers: Resolvers = {
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
    node: (_: unknown, { id }: { id: string }, { services }: Context) => findNode(id, services),
    flag: (_: unknown, { key }: { key: string }, { services }: Context) => services.byKey.load(key),
    async flags(
      _: unknown,
      args: PageArguments & { filter?: FlagSearch | null; orderBy?: FlagOrder | null },
      { services }: Context,
    ) {
      const order = args.orderBy ?? NEWEST_FIRST;
      const page = readPage(args, (text) => isPlace(order, text));
      const { flags, totalCount, more, nameOf } = await services.flags.search(args.filter ?? {}, page, order);
      return connectionBy(flags, nameOf, page, more, totalCount);
    },
    async evaluateFlag(_: unknown, args: { key: string; context: EvaluationContext }, { services }: Context) {
      const context = await withRegisteredFacts(services.registered, readContext(args.context));
      const flag = await services.byKey.load(args.key);
      if (flag === null || flag.archivedAt !== null || flag.draft) {
        throw new FleetFlagError('NOT_FOUND', `There is no flag ${JSON.stringify(args.key)}.`, { field: 'key' });
      }
      return toEvaluation(flag, evaluate({ definition: flag, jws: flag.signedDefinition }, context));
    },
    async evaluateFlags(
      _: unknown,
      args: { environment: Environment; context: EvaluationContext },
      { services }: Context,
    ) {
      return evaluateAll(
        services,
        args.environment,
        await withRegisteredFacts(services.registered, readContext(args.context)),
      );
    },
    changeRequests: (_: unknown, { status }: { status?: ChangeRequestStatus | null }, { services }: Context) =>
      services.requests.list(status ? { status } : {}),
    flagSync: (
      _: unknown,
      { environment, since, nonce }: { environment: Environment; since?: number | null; nonce?: string | null },
      { services, identity }: Context,
    ) =>
      nonce == null
        ? services.sync.sync(environment, since ?? 0)
        : services.sync.syncFor(identity.caller, nonce, environment, since ?? 0),
    flagProof: (_: unknown, { environment }: { environment: Environment }, { services }: Context) =>
      services.sync.proof(environment),
    async vehicleFacts(_: unknown, { nonce }: { nonce: string }, { services, identity: { caller } }: Context) {
      if (caller.kind !== 'vehicle' || caller.vin === null)
        throw new FleetFlagError('FORBIDDEN', 'Only a vehicle may ask for its own registered facts.');
      checkNonce(nonce);
      const facts = await services.registered.load(caller.vin);
      if (facts === null) throw new FleetFlagError('NOT_FOUND', 'This vehicle is not registered.');
      return services.signer.vehicleFacts(caller.vin, facts, nonce);
    },
    async environmentRevisions(_: unknown, __: unknown, { services }: Context) {
      const positions = await services.snapshots.refresh();
      return Array.from(positions, ([environment, { revision, stamp }]) => ({
        environment,
        revision,
        changedAt: new Date(stamp),
      }));
    },
  },

  Mutation: {
    createFlag: (_: unknown, { input }: Change<CreateFlagInput>, { services, identity }: Context) =>
      services.flags.createFlag(identity, input),
    updateFlag: (
      _: unknown,
      { key, input, expectedRevision, force }: Change<UpdateFlagInput>,
      { services, identity }: Context,
    ) => services.flags.updateFlag(identity, key, input, expectedRevision, force),
    enableFlag: (_: unknown, { key, expectedRevision }: Change, { services, identity }: Context) =>
      services.flags.setEnabled(identity, key, true, expectedRevision),
    disableFlag: (_: unknown, { key, expectedRevision }: Change, { services, identity }: Context) =>
      services.flags.setEnabled(identity, key, false, expectedRevision),
    archiveFlag: (_: unknown, { key, expectedRevision, force }: Change, { services, identity }: Context) =>
      services.flags.archiveFlag(identity, key, expectedRevision, force),
    createRule: (
      _: unknown,
      { flagKey, input, expectedRevision, force }: Change<RuleInput>,
      { services, identity }: Context,
    ) => services.flags.createRule(identity, flagKey, input, expectedRevision, force),
    updateRule: (
      _: unknown,
      { id, input, expectedRevision, force, reason }: Change<UpdateRuleInput>,
      { services, identity }: Context,
    ) => services.flags.updateRule(identity, ruleId(id), input, expectedRevision, force, reason),
    deleteRule: (_: unknown, { id, expectedRevision, force, reason }: Change, { services, identity }: Context) =>
      services.flags.deleteRule(identity, ruleId(id), expectedRevision, force, reason),
    killSwitch: (_: unknown, { flagKey, reason }: Change, { services, identity }: Context) =>
      services.flags.killSwitch(identity, flagKey, reason),
    releaseKillSwitch: (_: unknown, { flagKey, reason }: Change, { services, identity }: Context) =>
      services.flags.releaseKillSwitch(identity, flagKey, reason),
    approveChangeRequest: (_: unknown, { id, comment }: Decision, { services, identity }: Context) =>
      services.requests.approve(identity, id, comment),
    rejectChangeRequest: (_: unknown, { id, comment }: Decision, { services, identity }: Context) =>
      services.requests.reject(identity, id, comment ?? ''),
    cancelChangeRequest: (_: unknown, { id }: Decision, { services, identity }: Context) =>
      services.requests.cancel(identity, id),
    scheduleRollout: (
      _: unknown,
      args: {
        flagKey: string;
        ruleId: string;
        steps: RolloutStepInput[];
        guard?: RolloutGuardDraft | null;
        expectedRevision?: number | null;
      },
      { services, identity }: Context,
    ) =>
      services.rollouts.schedule(identity, args.flagKey, args.ruleId, args.steps, {
        guard: args.guard,
        expectedRevision: args.expectedRevision,
      }),
    pauseRollout: (_: unknown, { id, reason }: RolloutStop, { services, identity }: Context) =>
      services.rollouts.pause(identity, id, reason),
    resumeRollout: (_: unknown, { id }: RolloutStop, { services, identity }: Context) =>
      services.rollouts.resume(identity, id),
    cancelRollout: (_: unknown, { id, reason }: RolloutStop, { services, identity }: Context) =>
      services.rollouts.cancel(identity, id, reason),
  },

  Subscription: {
    flagChanges: {
      subscribe: (_: unknown, { environment }: { environment: Environment }, { services }: Context) =>
        services.feed.changes(environment),
      resolve: (event: FlagChangeEvent) => event,
    },
    changeRequestChanges: {
      async subscribe(_: unknown, __: unknown, { services }: Context) {
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
    async __resolveReference({ id, key }: { id?: string; key?: string }, { services, identity: { caller } }: Context) {
      if (id !== undefined && !isUuid(id)) return null;
      const flag =
        id !== undefined ? await services.byId.load(id) : key === undefined ? null : await services.byKey.load(key);
      // As in its stream: a vehicle sees the flags that live in its own environment.
      return caller.kind === 'vehicle' && (flag?.environment !== caller.environment || flag.draft) ? null : flag;
    },
    killed: (flag: Flag) => isKilled(flag.rules),
    createdBy: (flag: Flag) => userReference(flag.createdById),
    updatedBy: (flag: Flag) => userReference(flag.updatedById),
    changeRequests: (flag: Flag, { status }: { status?: ChangeRequestStatus | null }, { services }: Context) =>
      services.requests.list({ flagId: flag.id, ...(status && { status }) }),
  },

  ChangeRequest: {
    __resolveReference: async ({ id }: { id: string }, { services }: Context) =>
      isUuid(id) ? ((await services.requests.byIds([id]))[0] ?? null) : null,
    flag: (request: ChangeRequest, _: unknown, { services }: Context) => services.byId.load(request.flagId),
    outdated: async (request: ChangeRequest, _: unknown, { services }: Context) =>
      request.status === 'pending' && (await services.byId.load(request.flagId))?.revision !== request.flagRevision,
    requestedBy: (request: ChangeRequest) => userReference(request.requestedById),
    reviewedBy: (request: ChangeRequest) => userReference(request.reviewedById),
  },

  Rule: {
    // Vehicles are never told other vehicles' VINs (design.md, "Trust in what a vehicle applies").
    conditions: (rule: Rule, _: unknown, { identity }: { identity: CallerIdentity }): JsonValue =>
      identity.caller.kind === 'vehicle' ? signedConditions(rule) : rule.conditions,
    variant: (rule: Rule) => variantOf(rule),
    rollout: (rule: Rule, _: unknown, { services }: Context) => services.rolloutOfRule.load(rule.id),
  },

  Rollout: {
    __resolveReference: ({ id }: { id: string }, { services }: Context) =>
      isUuid(id) ? services.rollouts.byId(id) : null,
    guardStatus: ({ guard, guardStatus }: Rollout) => (guardStatus?.watch === guard?.watch ? guardStatus : null),
    scheduledBy: (rollout: Rollout) => userReference(rollout.scheduledById),
    approvedBy: (rollout: Rollout) => userReference(rollout.approvedById),
    changeRequest: async (rollout: Rollout, _: unknown, { services }: Context) =>
      rollout.changeRequestId === null ? null : ((await services.requests.byIds([rollout.changeRequestId]))[0] ?? null),
  },

  RolloutGuard: {
    silenceSeconds: (guard: RolloutGuard) => guard.silence / 1000,
    watchForSeconds: (guard: RolloutGuard) => guard.watchFor / 1000,
  },

  RolloutGuardStatus: Object.fromEntries(FIGURES.map((name) => [name, ({ figures }: GuardStatus) => figures[name]])),

  RolloutStep: {
    at: (step: RolloutStep) => step.dueAt,
  },

  Vehicle: {
    __resolveReference: (reference: JsonObject) => reference,
    id: ({ vin }: { vin: string }) => vin,
    evaluations: (vehicle: EvaluationContext, { environment }: { environment: Environment }, { services }: Context) =>
      evaluateAll(services, environment, vehicle),
  },
};
