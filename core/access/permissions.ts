/**
 * The permission table: which callers may use which field. The gateway reads it before it plans an operation, and each
 * subgraph reads it before it resolves a field. Source: design.md, "Gateway", "Who is calling".
 */
import { FleetFlagError } from '../errors.ts';
import type { ApiKeyRole, Caller, Role } from './caller.ts';

/**
 * A vehicle's access to a field: never, only with its own environment or VIN in the arguments, or always.
 */
export type VehicleAccess = 'never' | 'ownEnvironment' | 'ownVin' | 'always';

/** The callers that may use a field. */
export interface Permission {
  readonly anonymous: boolean;
  readonly users: readonly Role[];
  readonly apiKeys: readonly ApiKeyRole[];
  readonly vehicle: VehicleAccess;
  /** Lets gateways use the field on their own behalf. No client can; the public schema does not show such a field. */
  readonly gateway?: true;
}

const READERS = {
  anonymous: false,
  users: ['READ', 'WRITE', 'SAFETY', 'ADMIN'],
  apiKeys: ['READ', 'WRITE', 'ADMIN'],
  vehicle: 'never',
} as const satisfies Permission;
/** The callers that may change flags. */
export const WRITERS = {
  anonymous: false,
  users: ['WRITE', 'ADMIN'],
  apiKeys: ['WRITE', 'ADMIN'],
  vehicle: 'never',
} as const satisfies Permission;
/** Includes SAFETY: stopping a feature must never wait for a user with the right to configure it. */
export const STOPPERS = { ...WRITERS, users: ['WRITE', 'SAFETY', 'ADMIN'] } as const satisfies Permission;
/** Excludes API keys: a planned rollout changes flags later in the name of the person who planned it. */
export const PLANNERS = { ...WRITERS, apiKeys: [] } as const satisfies Permission;
/** The users who may approve or reject a change that needs a second person. */
export const REVIEWERS = {
  anonymous: false,
  users: ['SAFETY', 'ADMIN'],
  apiKeys: [],
  vehicle: 'never',
} as const satisfies Permission;
/** The administrators: people and keys. */
export const ADMINS = {
  anonymous: false,
  users: ['ADMIN'],
  apiKeys: ['ADMIN'],
  vehicle: 'never',
} as const satisfies Permission;
/** Excludes API keys: only a user account has a session and a password. */
const PEOPLE = { ...READERS, apiKeys: [] } as const satisfies Permission;
/**
 * The users who may create and revoke credentials, accounts and webhooks. Excludes API keys: a thief of one must not be
 * able to create keys, accounts or receivers that remain when it is revoked.
 */
const CREDENTIAL_ADMINS = { ...ADMINS, apiKeys: [] } as const satisfies Permission;
/** Includes anonymous callers, who have yet to sign in. Excludes vehicles: they have tokens and no accounts. */
const SIGN_IN_CALLERS = { ...READERS, anonymous: true } as const satisfies Permission;
/** Excludes all other callers: only the vehicle itself may report its own state. */
const VEHICLES = { anonymous: false, users: [], apiKeys: [], vehicle: 'always' } as const satisfies Permission;
/** Fields that gateways use on their own behalf; they are `@inaccessible` in the schema. */
const GATEWAYS = {
  anonymous: false,
  users: [],
  apiKeys: [],
  vehicle: 'never',
  gateway: true,
} as const satisfies Permission;

/**
 * The permissions. A key is `Type.field`, the name of a type for all its fields, or `Entity.Type` for the entities of a
 * type that `_entities` may resolve. A root field that is missing here is refused.
 */
export const PERMISSIONS: Readonly<Record<string, Permission>> = {
  'Query.node': READERS,
  'Query.flag': READERS,
  'Query.flags': READERS,
  'Query.changeRequests': READERS,
  'Query.changeRequestCount': READERS,
  'Query.evaluateFlag': READERS,
  'Query.evaluateFlags': READERS,
  'Query.explainEvaluation': READERS,
  'Query.flagVersions': READERS,
  'Query.partitionLoad': READERS,
  'Query.segment': READERS,
  'Query.segments': READERS,
  'Query.previewSegment': READERS,
  'Query.releasePolicy': READERS,
  'Query.releases': READERS,
  'Query.flagSync': { ...READERS, vehicle: 'ownEnvironment' },
  'Query.flagProof': { ...READERS, vehicle: 'ownEnvironment' },
  'Query.vehicleFacts': VEHICLES,
  'Query.vehicleBackup': VEHICLES,
  'Query.vehicle': { ...READERS, vehicle: 'ownVin' },
  'Query.vehicles': READERS,
  'Query.fleet': READERS,
  'Query.previewAudience': READERS,
  'Query.rolloutProgress': READERS,
  'Query.experiment': READERS,
  'Query.experiments': READERS,
  'Query.metricDefinitions': READERS,
  'Query.requiredSampleSize': READERS,
  'Query.me': { ...READERS, vehicle: 'always' },
  'Query.users': ADMINS,
  'Query.auditLogs': READERS,
  // Not all readers of the log may use it, because it reads the whole log. A monitor may record the head with an ADMIN
  // key.
  'Query.auditIntegrity': { ...REVIEWERS, apiKeys: ['ADMIN'] },
  'Query.databaseHealth': ADMINS,
  'Query.gateways': ADMINS,
  'Query.heartbeatQueue': ADMINS,
  'Query.measurementQueue': ADMINS,
  'Query.apiKeys': ADMINS,
  'Query.persistedOperations': ADMINS,
  'Query.webhooks': CREDENTIAL_ADMINS,
  'Query.webhookDeliveries': CREDENTIAL_ADMINS,

  'Mutation.login': SIGN_IN_CALLERS,
  'Mutation.logout': PEOPLE,
  'Mutation.changePassword': PEOPLE,
  'Mutation.createUser': CREDENTIAL_ADMINS,
  'Mutation.updateUser': CREDENTIAL_ADMINS,
  'Mutation.registerPersistedOperations': ADMINS,
  'Mutation.removePersistedOperations': ADMINS,
  'Mutation.createFlag': WRITERS,
  'Mutation.updateFlag': WRITERS,
  'Mutation.applyChanges': WRITERS,
  'Mutation.enableFlag': WRITERS,
  'Mutation.disableFlag': WRITERS,
  'Mutation.archiveFlag': WRITERS,
  'Mutation.unarchiveFlag': WRITERS,
  'Mutation.restoreFlag': WRITERS,
  'Mutation.reorderRules': WRITERS,
  'Mutation.saveSegment': WRITERS,
  'Mutation.deleteSegment': WRITERS,
  // A policy holds back the changes of those who may write, so that they may not set it.
  'Mutation.setReleasePolicy': ADMINS,
  'Mutation.approveReleasePolicy': REVIEWERS,
  'Mutation.rejectReleasePolicy': REVIEWERS,
  // SAFETY may only pull or release a kill switch; subgraphs/flags/changes/change.ts checks that by the change itself.
  'Mutation.createRule': STOPPERS,
  'Mutation.updateRule': STOPPERS,
  'Mutation.deleteRule': STOPPERS,
  'Mutation.killSwitch': STOPPERS,
  'Mutation.releaseKillSwitch': STOPPERS,
  'Mutation.approveChangeRequest': REVIEWERS,
  'Mutation.rejectChangeRequest': REVIEWERS,
  // Only people make change requests, so no key has one to cancel.
  'Mutation.cancelChangeRequest': { ...STOPPERS, apiKeys: [] },
  'Mutation.scheduleRollout': PLANNERS,
  'Mutation.haltRelease': STOPPERS,
  'Mutation.addReleaseGuards': STOPPERS,
  'Mutation.promoteRelease': WRITERS,
  'Mutation.pauseRollout': STOPPERS,
  'Mutation.resumeRollout': PLANNERS,
  'Mutation.cancelRollout': STOPPERS,
  'Mutation.registerVehicles': WRITERS,
  'Mutation.issueVehicleToken': WRITERS,
  'Mutation.revokeVehicleTokens': WRITERS,
  'Mutation.setVehicleMaintenance': WRITERS,
  'Mutation.setVehicleTags': WRITERS,
  'Mutation.defineMetric': WRITERS,
  'Mutation.createExperiment': WRITERS,
  'Mutation.updateExperiment': WRITERS,
  'Mutation.startExperiment': WRITERS,
  'Mutation.completeExperiment': WRITERS,
  'Mutation.cancelExperiment': WRITERS,
  'Mutation.reportMetrics': VEHICLES,
  'Mutation.agentHeartbeat': VEHICLES,
  'Mutation.backUpVehicleState': VEHICLES,
  'Mutation.reportFaults': VEHICLES,
  'Mutation.createApiKey': CREDENTIAL_ADMINS,
  'Mutation.revokeApiKey': CREDENTIAL_ADMINS,
  'Mutation.createWebhook': CREDENTIAL_ADMINS,
  'Mutation.updateWebhook': CREDENTIAL_ADMINS,
  'Mutation.deleteWebhook': CREDENTIAL_ADMINS,
  'Mutation.rotateWebhookSecret': CREDENTIAL_ADMINS,
  'Mutation.sendTestWebhook': CREDENTIAL_ADMINS,
  'Mutation.replayWebhookDelivery': CREDENTIAL_ADMINS,

  'Subscription.flagChanges': { ...READERS, vehicle: 'ownEnvironment' },
  'Subscription.changeRequestChanges': READERS,
  'Subscription.auditTrail': READERS,
  'Subscription.vehicleStatusChanges': READERS,

  'Query.apiKeyCredential': GATEWAYS,
  'Query.persistedOperation': GATEWAYS,
  'Query.answerInputs': GATEWAYS,
  'Query.vehiclePartitions': GATEWAYS,
  'Query.partitionNews': GATEWAYS,
  'Query.vehicleTokenGenerations': GATEWAYS,
  'Mutation.reportPresence': GATEWAYS,
  'Subscription.endedCredentials': GATEWAYS,
  'Subscription.partitionSignals': GATEWAYS,

  // It would reveal the inaccessible fields. No gateway uses it at present.
  'Query._service': GATEWAYS,
  // `_entities` in a subgraph; the types that it leads to have rows of their own.
  Federation: { ...READERS, vehicle: 'always' },
  // The entities of a type that a caller may name, where that is not all of them. The representation stands for the
  // arguments.
  'Entity.Vehicle': { ...READERS, vehicle: 'ownVin' },

  // Types and fields that a vehicle could otherwise reach through the flags of its own stream. An anonymous caller
  // reaches `User` only through `login`.
  User: SIGN_IN_CALLERS,
  ApiKey: READERS,
  'Flag.history': READERS,
  'Flag.release': READERS,
  'Flag.changeRequests': READERS,
  ChangeRequest: READERS,
  'Rule.rollout': READERS,
  Rollout: READERS,
  RolloutStep: READERS,
  RolloutGuard: READERS,
  RolloutGuardStatus: READERS,
  'Flag.experiments': READERS,
  // No stream leads to these types, but a subgraph would resolve them by id.
  AuditLog: READERS,
  ChangePreview: READERS,
  RequestedChange: READERS,
  // They name vehicles.
  Segment: READERS,
  SegmentPreview: READERS,
  Experiment: READERS,
  // The measurements of a named vehicle are for people who may change or stop features, and for programs of ADMINs.
  'AnalysedVehicle.vin': { ...STOPPERS, apiKeys: ['ADMIN'] },
  // A vehicle may evaluate for itself, but only in its own environment.
  'Vehicle.evaluations': { ...READERS, vehicle: 'ownEnvironment' },
  'Vehicle.partition': READERS,
  'Vehicle.faults': READERS,
  'Flag.faults': READERS,
  'Flag.metrics': READERS,
  'Flag.metricNames': READERS,
  'Flag.audience': READERS,
  'Flag.previewChange': READERS,
};

function vehicleMay(
  access: VehicleAccess,
  caller: Caller & { kind: 'vehicle' },
  args: Readonly<Record<string, unknown>>,
): boolean {
  switch (access) {
    case 'always':
      return true;
    case 'never':
      return false;
    case 'ownEnvironment':
      return typeof args['environment'] === 'string' && args['environment'].toLowerCase() === caller.environment;
    case 'ownVin':
      return caller.vin !== null && args['vin'] === caller.vin;
  }
}

/** The operations of the public API that the table names. */
const OPERATIONS = Object.entries(PERMISSIONS).filter(
  ([name, { gateway = false }]) => /^(?:Query|Mutation|Subscription)\./.test(name) && !gateway,
);

function mayUse(permission: Permission, caller: Caller): boolean {
  switch (caller.kind) {
    case 'anonymous':
      return permission.anonymous;
    case 'gateway':
      return permission.gateway ?? false;
    case 'user':
      return permission.users.includes(caller.role);
    case 'apiKey':
      return permission.apiKeys.includes(caller.role);
    case 'vehicle':
      return permission.vehicle !== 'never';
  }
}

/**
 * Gives the operations that a caller may call, by names such as `Mutation.killSwitch`, in the table's order. Of a
 * vehicle they include those that it may call only with its own environment or VIN in the arguments.
 */
export function permissionsOf(caller: Caller): readonly string[] {
  return OPERATIONS.filter(([, permission]) => mayUse(permission, caller)).map(([name]) => name);
}

/**
 * Says why `caller` may not use a field; null when it may.
 *
 * @param permission the field's row of the table; undefined (a root field without a row) is refused
 * @param args the field's argument values, as in the GraphQL request (enums in GraphQL's spelling)
 * @returns UNAUTHENTICATED for an anonymous caller, FORBIDDEN for a known one
 */
export function refusalOf(
  permission: Permission | undefined,
  field: string,
  caller: Caller,
  args: Readonly<Record<string, unknown>>,
): FleetFlagError | null {
  if (permission?.anonymous !== true && caller.kind === 'anonymous')
    return new FleetFlagError('UNAUTHENTICATED', `Sign in to use ${field}.`);
  const allowed =
    permission !== undefined &&
    (caller.kind === 'vehicle' ? vehicleMay(permission.vehicle, caller, args) : mayUse(permission, caller));
  return allowed ? null : new FleetFlagError('FORBIDDEN', `This caller may not use ${field}.`);
}
