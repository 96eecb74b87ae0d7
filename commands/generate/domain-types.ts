/**
 * Maps schema types to domain types: those that resolvers receive as parents and may return. A schema type that is not
 * listed here stands for an object with the schema's own fields.
 */
import type { SubgraphName } from '../../core/wire/subgraph/subgraph.ts';

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
    context: 'resolvers.ts#AuditContext',
    enums: {
      Environment: `${MODEL}#Environment`,
      OperationType: 'persisted-operations/persisted-operation.ts#OperationKind',
      Role: '../../core/access/caller.ts#Role',
      WebhookDeliveryStatus: 'webhooks/webhook.ts#DeliveryStatus',
      WebhookKind: '../shared/webhooks/webhook-event.ts#WebhookKind',
    },
    objects: {
      ApiKey: 'api-keys/api-key.ts#ApiKey',
      AuditLog: 'log/audit-log-store.ts#StoredAuditEntry',
      Flag: REFERENCE,
      PersistedOperation: 'persisted-operations/persisted-operation.ts#PersistedOperation',
      User: 'accounts/accounts.ts#ResolvedUser',
      Viewer: 'resolvers.ts#Viewer',
      Webhook: 'webhooks/webhook.ts#Webhook',
      WebhookDelivery: 'webhooks/webhook.ts#WebhookDelivery',
    },
  },
  experiments: {
    context: 'resolvers.ts#ExperimentsContext',
    enums: {
      DecisionBasis: 'statistics/analyse.ts#DecisionBasis',
      ExperimentStatus: 'experiments/experiment.ts#ExperimentStatus',
      GuardDirection: '../../core/rollouts/rollout-guard.ts#GuardDirection',
      MetricKind: 'definitions/metric-definition.ts#MetricKind',
      GuardVerdict: '../../core/rollouts/rollout-guard.ts#GuardVerdict',
      GuardrailVerdict: '../../core/rollouts/rollout-guard.ts#GuardVerdict',
      SecondaryFinding: 'experiments/looks/further-looks.ts#SecondaryFinding',
      SegmentDimension: 'experiments/exploration/exploration-service.ts#SegmentDimension',
      MetricInterval: '../../core/wire/api/metric-points.ts#MetricInterval',
      MissingReason: 'statistics/moments.ts#Missing',
    },
    objects: {
      Experiment: 'experiments/experiment.ts#Experiment',
      MetricDefinition: 'definitions/metric-definition.ts#MetricDefinition',
      ExperimentDisturbance: 'experiments/experiment-store.ts#Disturbance',
      ExperimentResults: 'resolvers.ts#Results',
      GuardLook: 'guards/guard-history.ts#GuardLook',
      Rollout: REFERENCE,
      // The gateway sends the key for fields that require it.
      Flag: '{ readonly id: string; readonly key?: string }',
      VariantResult: 'statistics/analyse.ts#VariantSummary',
    },
  },
  flags: {
    context: 'graphql/services.ts#FlagsContext',
    enums: {
      ChangeRequestStatus: 'changes/requests/change-request.ts#ChangeRequestStatus',
      Environment: `${MODEL}#Environment`,
      EvaluationReason: `${MODEL}#EvaluationReason`,
      FlagOrderField: 'flags/reading/flag-order.ts#FlagOrderField',
      FlagType: `${MODEL}#FlagType`,
      GuardDirection: '../../core/rollouts/rollout-guard.ts#GuardDirection',
      GuardVerdict: '../../core/rollouts/rollout-guard.ts#GuardVerdict',
      OrderDirection: 'flags/reading/flag-order.ts#OrderDirection',
      PolicyLoosening: '../../core/releases/policy-loosening.ts#Loosening',
      ReleaseGuardAction: '../../core/releases/release-guard.ts#GuardAction',
      ReleaseStatus: 'releases/flag-release.ts#ReleaseStatus',
      RolloutStatus: 'rollouts/rollout.ts#RolloutStatus',
      RuleType: `${MODEL}#RuleType`,
      SafetyLevel: `${MODEL}#SafetyLevel`,
      Activation: `${MODEL}#Activation`,
    },
    objects: {
      ChangeRequest: 'changes/requests/change-request.ts#ChangeRequest',
      Flag: 'flags/flag.ts#Flag',
      FlagChange: 'sync/feed.ts#FlagChangeEvent',
      FlagSync: 'sync/sync.ts#FlagSync',
      FlagVersion: 'flags/versions/flag-versions.ts#FlagVersion',
      ChangeSetPayload: 'changes/sets/change-set.ts#ChangeSetOutcome',
      FlagChangePayload: 'changes/change.ts#FlagChangeOutcome',
      RequestedChange: 'graphql/request-types.ts#ChangeOfRequest',
      Release: 'releases/flag-release.ts#FlagRelease',
      ReleaseGuard: '../../core/releases/release-guard.ts#ReleaseGuard',
      ReleaseGuardWatch: 'releases/release-guards.ts#WatchedGuardOfRelease',
      ReleasePolicy: 'releases/policies/release-policy.ts#StoredPolicy',
      ReleasePolicyProposal: 'releases/policies/release-policy-service.ts#ReviewedProposal',
      ReleaseStage: '../../core/releases/release-policy.ts#ReleaseStage',
      Requirement: '../../core/model.ts#Requirement',
      Rollout: 'rollouts/rollout.ts#Rollout',
      RolloutGuard: 'rollouts/rollout-guard.ts#GuardOfRollout',
      RolloutStep: 'rollouts/rollout.ts#RolloutStep',
      Rule: 'flags/flag.ts#Rule',
      Segment: 'segments/segment.ts#StoredSegment',
      SegmentPreview: 'segments/segment-service.ts#SegmentPreview',
      // The gateway sends the registered facts for fields that require them.
      Vehicle:
        "{ readonly vin: string; readonly model?: string; readonly swVersion?: string; readonly region?: string; readonly environment?: 'DEVELOPMENT' | 'STAGING' | 'PRODUCTION' | null }",
    },
  },
  vehicles: {
    context: 'resolvers.ts#VehiclesContext',
    enums: {
      Environment: `${MODEL}#Environment`,
      FlagFaultKind: '../../core/wire/vehicle/fault.ts#FaultKind',
      RuleType: `${MODEL}#RuleType`,
      VehicleStatus: 'registry/vehicle.ts#VehicleStatus',
    },
    objects: {
      Audience: 'audience/audience.ts#Audience',
      AudienceChange: 'audience/flag-audience.ts#AudienceChange',
      // The gateway sends what fields require.
      ChangeRequest: '{ readonly id: string; readonly evaluatedContents?: JsonValue }',
      Flag: "{ readonly id: string; readonly evaluatedContent?: JsonValue; readonly key?: string; readonly environment?: 'DEVELOPMENT' | 'STAGING' | 'PRODUCTION' }",
      FlagAudience: 'audience/flag-audience.ts#FlagAudience',
      RolloutProgress: 'reports/fleet-reports.ts#RolloutProgress',
      Segment: '{ readonly key: string; readonly conditions?: JsonValue }',
      Vehicle: 'registry/vehicle.ts#Vehicle',
    },
  },
};
