/**
 * The permission table: which callers may use which field. The gateway reads it before it plans an operation, and each
 * subgraph reads it before it resolves a field. Source: design.md, "Gateway", "Who is calling".
 */
import { FleetFlagError } from '../errors.ts';
import type { ApiKeyRole, Caller, Role } from './caller.ts';

/**
 * How far a vehicle may use a field: never, only with its own environment or VIN in the arguments, or always.
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
export const WRITERS = {
  anonymous: false,
  users: ['WRITE', 'ADMIN'],
  apiKeys: ['WRITE', 'ADMIN'],
  vehicle: 'never',
} as const satisfies Permission;
/** Includes SAFETY: stopping a feature must never wait for somebody with the right to configure it. */
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
const ADMINS = {
  anonymous: false,
  users: ['ADMIN'],
  apiKeys: ['ADMIN'],
  vehicle: 'never',
} as const satisfies Permission;
/** Excludes API keys: only a user account has a session and a password. */
const PEOPLE = { ...READERS, apiKeys: [] } as const satisfies Permission;
/**
 * The users who may create and revoke credentials and accounts. Excludes API keys: somebody who has stolen one must not
 * be able to create keys or accounts that remain when it is revoked.
 */
const KEEPERS = { ...ADMINS, apiKeys: [] } as const satisfies Permission;
/** Includes anonymous callers, who have yet to sign in. Excludes vehicles: they have tokens and no accounts. */
const WHO_SIGN_IN = { ...READERS, anonymous: true } as const satisfies Permission;
/** Excludes everybody else: only the vehicle itself may report its own state. */
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
  'Query.evaluateFlag': READERS,
  'Query.evaluateFlags': READERS,
  'Query.flagSync': { ...READERS, vehicle: 'ownEnvironment' },
  'Query.flagProof': { ...READERS, vehicle: 'ownEnvironment' },
  'Query.vehicleFacts': VEHICLES,
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
  'Query.apiKeys': ADMINS,
  'Query.persistedOperations': ADMINS,

  'Mutation.login': WHO_SIGN_IN,
  'Mutation.logout': PEOPLE,
  'Mutation.changePassword': PEOPLE,
  'Mutation.createUser': KEEPERS,
  'Mutation.updateUser': KEEPERS,
  'Mutation.registerPersistedOperations': ADMINS,
  'Mutation.createFlag': WRITERS,
  'Mutation.updateFlag': WRITERS,
  'Mutation.enableFlag': WRITERS,
  'Mutation.disableFlag': WRITERS,
  'Mutation.archiveFlag': WRITERS,
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
  'Mutation.pauseRollout': STOPPERS,
  'Mutation.resumeRollout': PLANNERS,
  'Mutation.cancelRollout': STOPPERS,
  'Mutation.registerVehicles': WRITERS,
  'Mutation.issueVehicleToken': WRITERS,
  'Mutation.revokeVehicleTokens': WRITERS,
  'Mutation.setVehicleMaintenance': WRITERS,
  'Mutation.defineMetric': WRITERS,
  'Mutation.createExperiment': WRITERS,
  'Mutation.updateExperiment': WRITERS,
  'Mutation.startExperiment': WRITERS,
  'Mutation.completeExperiment': WRITERS,
  'Mutation.cancelExperiment': WRITERS,
  'Mutation.reportMetrics': VEHICLES,
  'Mutation.agentHeartbeat': VEHICLES,
  'Mutation.createApiKey': KEEPERS,
  'Mutation.revokeApiKey': KEEPERS,

  'Subscription.flagChanges': { ...READERS, vehicle: 'ownEnvironment' },
  'Subscription.changeRequestChanges': READERS,
  'Subscription.auditTrail': READERS,
  'Subscription.vehicleStatusChanges': READERS,

  'Query.apiKeyCredential': GATEWAYS,
  'Query.persistedOperation': GATEWAYS,
  'Query.answerInputs': GATEWAYS,
  'Query.vehicleTokenGenerations': GATEWAYS,
  'Mutation.reportPresence': GATEWAYS,
  'Subscription.endedCredentials': GATEWAYS,

  // It would reveal the inaccessible fields. No gateway uses it at present.
  'Query._service': GATEWAYS,
  // `_entities` in a subgraph; the types that it leads to have rows of their own.
  Federation: { ...READERS, vehicle: 'always' },
  // The entities of a type that a caller may name, where that is not all of them. The representation stands for the
  // arguments.
  'Entity.Vehicle': { ...READERS, vehicle: 'ownVin' },

  // Types and fields that a vehicle could otherwise reach through the flags of its own stream. An anonymous caller
  // reaches `User` only through `login`.
  User: WHO_SIGN_IN,
  ApiKey: READERS,
  'Flag.history': READERS,
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
  Experiment: READERS,
  // A vehicle may evaluate for itself, but only in its own environment.
  'Vehicle.evaluations': { ...READERS, vehicle: 'ownEnvironment' },
  'Flag.metrics': READERS,
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
  let allowed: boolean;
  switch (caller.kind) {
    case 'anonymous':
      if (permission?.anonymous === true) return null;
      return new FleetFlagError('UNAUTHENTICATED', `Sign in to use ${field}.`);
    case 'gateway':
      allowed = permission?.gateway ?? false;
      break;
    case 'user':
      allowed = permission?.users.includes(caller.role) ?? false;
      break;
    case 'apiKey':
      allowed = permission?.apiKeys.includes(caller.role) ?? false;
      break;
    case 'vehicle':
      allowed = permission !== undefined && vehicleMay(permission.vehicle, caller, args);
      break;
  }
  return allowed ? null : new FleetFlagError('FORBIDDEN', `This caller may not use ${field}.`);
}
