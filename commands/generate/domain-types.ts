/**
 * Which type of ours stands behind a type of a subgraph's schema: what a resolver is given as its parent, and what it may
 * give. Of a type that is not named here, that is an object with the schema's own fields.
 */
import type { SubgraphName } from '../../core/wire/subgraph.ts';

export interface DomainTypes {
  /** The context of the subgraph's resolvers, as `file#Type`; the file is named from the subgraph's folder. */
  readonly context: string;
  /** Enums whose values have a spelling of their own in the domain, or that the domain knows. */
  readonly enums: Readonly<Record<string, string>>;
  /** Object types that are resolved from a type of the domain, `file#Type`, or from a reference by another subgraph. */
  readonly objects: Readonly<Record<string, string>>;
}

const MODEL = '../../core/model.ts';

/** What another subgraph names an entity by. */
const REFERENCE = '{ readonly id: string }';

export const DOMAIN_TYPES: Readonly<Record<SubgraphName, DomainTypes>> = {
  audit: {
    context: 'resolvers.ts#Context',
    enums: {
      Environment: `${MODEL}#Environment`,
      OperationType: 'persisted-operations/persisted-operation.ts#OperationKind',
      Role: '../../core/access/caller.ts#Role',
    },
    objects: {
      ApiKey: 'api-keys/api-key.ts#ApiKey',
      AuditLog: 'log/trail-store.ts#TrailEntry',
      Flag: REFERENCE,
      PersistedOperation: 'persisted-operations/persisted-operation.ts#PersistedOperation',
      User: 'accounts/accounts.ts#ResolvedUser',
      Viewer: 'resolvers.ts#Viewer',
    },
  },
  experiments: {
    context: 'resolvers.ts#Context',
    enums: {
      DecisionBasis: 'statistics/analyse.ts#DecisionBasis',
      ExperimentStatus: 'experiments/experiment.ts#ExperimentStatus',
      MetricInterval: 'metrics/metric-store.ts#MetricInterval',
      MissingReason: 'statistics/moments.ts#Missing',
    },
    objects: {
      Experiment: 'experiments/experiment.ts#Experiment',
      ExperimentDisturbance: 'experiments/experiment-store.ts#Disturbance',
      ExperimentResults: 'resolvers.ts#Results',
      // The key comes with the fields that require it.
      Flag: '{ readonly id: string; readonly key?: string }',
      VariantResult: 'statistics/analyse.ts#VariantSummary',
    },
  },
  flags: {
    context: 'resolvers.ts#Context',
    enums: {
      ChangeRequestStatus: 'changes/change-request.ts#ChangeRequestStatus',
      Environment: `${MODEL}#Environment`,
      EvaluationReason: `${MODEL}#EvaluationReason`,
      FlagOrderField: 'flags/flag-order.ts#FlagOrderField',
      FlagType: `${MODEL}#FlagType`,
      GuardDirection: '../../core/rollouts/rollout-guard.ts#GuardDirection',
      GuardVerdict: '../../core/rollouts/rollout-guard.ts#GuardVerdict',
      OrderDirection: 'flags/flag-order.ts#OrderDirection',
      RolloutStatus: 'rollouts/rollout.ts#RolloutStatus',
      RuleType: `${MODEL}#RuleType`,
      SafetyLevel: `${MODEL}#SafetyLevel`,
    },
    objects: {
      ChangeRequest: 'changes/change-request.ts#ChangeRequest',
      Flag: 'flags/flag.ts#Flag',
      Rollout: 'rollouts/rollout.ts#Rollout',
      RolloutGuard: 'rollouts/rollout-guard.ts#GuardOfRollout',
      RolloutStep: 'rollouts/rollout.ts#RolloutStep',
      Rule: 'flags/flag.ts#Rule',
      // The registered facts come with the fields that require them.
      Vehicle:
        '{ readonly vin: string; readonly model?: string; readonly swVersion?: string; readonly region?: string }',
    },
  },
  vehicles: {
    context: 'resolvers.ts#Context',
    enums: {
      Environment: `${MODEL}#Environment`,
      RuleType: `${MODEL}#RuleType`,
      VehicleStatus: 'registry/vehicle.ts#VehicleStatus',
    },
    objects: {
      Audience: 'audience/audience.ts#Audience',
      Vehicle: 'registry/vehicle.ts#Vehicle',
    },
  },
};
