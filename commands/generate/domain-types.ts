/**
 * Maps schema types to domain types: those that resolvers receive as parents and may return. A schema type that is not
 * listed here stands for an object with the schema's own fields.
 */
import type { SubgraphName } from '../../core/wire/subgraph.ts';

/** The mapping of one subgraph. */
export interface DomainTypes {
  /** The context of the subgraph's resolvers, as `file#Type`; the file's path is relative to the subgraph's folder. */
  readonly context: string;
  /** Enums whose values are spelt differently in the domain, or that have a type in the domain. */
  readonly enums: Readonly<Record<string, string>>;
  /** Object types that are resolved from a domain type, `file#Type`, or from another subgraph's reference. */
  readonly objects: Readonly<Record<string, string>>;
}

const MODEL = '../../core/model.ts';

/** The form in which another subgraph refers to an entity. */
const REFERENCE = '{ readonly id: string }';

/** The mapping of each subgraph. */
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
      AuditLog: 'log/audit-log-store.ts#StoredAuditEntry',
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
      GuardDirection: '../../core/rollouts/rollout-guard.ts#GuardDirection',
      MetricKind: 'definitions/metric-definition.ts#MetricKind',
      MetricInterval: 'metrics/metric-store.ts#MetricInterval',
      MissingReason: 'statistics/moments.ts#Missing',
    },
    objects: {
      Experiment: 'experiments/experiment.ts#Experiment',
      MetricDefinition: 'definitions/metric-definition.ts#MetricDefinition',
      ExperimentDisturbance: 'experiments/experiment-store.ts#Disturbance',
      ExperimentResults: 'resolvers.ts#Results',
      // The gateway sends the key for fields that require it.
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
      // The gateway sends the registered facts for fields that require them.
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
