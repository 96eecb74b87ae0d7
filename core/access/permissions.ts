/**
 * Who may do what: one table, read by the gateway before it plans an operation and by each subgraph before it
 * resolves a field. Source: design.md, "Gateway", "Who is calling".
 */
import { FleetFlagError } from '../errors.ts';
import type { ApiKeyRole, Caller, Role } from './caller.ts';

/** What of the field a vehicle may use: nothing, only what names its own environment or VIN, or all of it. */
export type VehicleAccess = 'never' | 'ownEnvironment' | 'ownVin' | 'always';

export interface Permission {
  readonly anonymous: boolean;
  readonly users: readonly Role[];
  readonly apiKeys: readonly ApiKeyRole[];
  readonly vehicle: VehicleAccess;
  /** For gateways' own questions; no client ever has it, and the public schema does not show the field. */
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
/** Stopping a feature must never wait for somebody with the right to configure it. */
export const STOPPERS = { ...WRITERS, users: ['WRITE', 'SAFETY', 'ADMIN'] } as const satisfies Permission;
/** Who lets things happen later, in their own name: people only. */
export const PLANNERS = { ...WRITERS, apiKeys: [] } as const satisfies Permission;
/** Who reviews what a second person has to agree to. */
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
/** What only somebody with an account has: a session, a password. */
const PEOPLE = { ...READERS, apiKeys: [] } as const satisfies Permission;
/**
 * Who gives and takes credentials and accounts. No key: one that leaks must not make others, or people, who outlive its
 * revocation.
 */
const KEEPERS = { ...ADMINS, apiKeys: [] } as const satisfies Permission;
/** Vehicles have their tokens, and no business with accounts. */
const WHO_SIGN_IN = { ...READERS, anonymous: true } as const satisfies Permission;
/** What a vehicle says of itself: nobody else may say it in its name. */
const VEHICLES = { anonymous: false, users: [], apiKeys: [], vehicle: 'always' } as const satisfies Permission;
/** What gateways ask for themselves (fields that are `@inaccessible`). */
const GATEWAYS = {
  anonymous: false,
  users: [],
  apiKeys: [],
  vehicle: 'never',
  gateway: true,
} as const satisfies Permission;

/**
 * Keys are `Type.field`, a type's name for all fields of it, or `Entity.Type` for what `_entities` may name. A root
 * field that is missing here is refused.
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
  'Query.requiredSampleSize': READERS,
  'Query.me': { ...READERS, vehicle: 'always' },
  'Query.users': ADMINS,
  'Query.auditLogs': READERS,
  // Of those who may read the trail: it reads all of it. A monitor may note the head with an ADMIN key.
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
  // Of SAFETY only what pulls or releases a kill switch, which the change itself shows (subgraphs/flags/changes/change.ts).
  'Mutation.createRule': STOPPERS,
  'Mutation.updateRule': STOPPERS,
  'Mutation.deleteRule': STOPPERS,
  'Mutation.killSwitch': STOPPERS,
  'Mutation.releaseKillSwitch': STOPPERS,
  'Mutation.approveChangeRequest': REVIEWERS,
  'Mutation.rejectChangeRequest': REVIEWERS,
  // A request is a person's: no key has one to cancel.
  'Mutation.cancelChangeRequest': { ...STOPPERS, apiKeys: [] },
  'Mutation.scheduleRollout': PLANNERS,
  'Mutation.pauseRollout': STOPPERS,
  'Mutation.resumeRollout': PLANNERS,
  'Mutation.cancelRollout': STOPPERS,
  'Mutation.registerVehicles': WRITERS,
  'Mutation.issueVehicleToken': WRITERS,
  'Mutation.revokeVehicleTokens': WRITERS,
  'Mutation.setVehicleMaintenance': WRITERS,
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
  'Query.environmentRevisions': GATEWAYS,
  'Query.vehicleTokenGenerations': GATEWAYS,
  'Mutation.reportPresence': GATEWAYS,
  'Subscription.endedCredentials': GATEWAYS,

  // No gateway asks for it at present, and what is not public stands in it.
  'Query._service': GATEWAYS,
  // `_entities` in a subgraph: what it leads to has its own rows.
  Federation: { ...READERS, vehicle: 'always' },
  // Which entities of a type, where that is not all of them; the arguments are the representation.
  'Entity.Vehicle': { ...READERS, vehicle: 'ownVin' },

  // What a vehicle could otherwise reach through the flag of its own stream. Nobody reaches only the user that signs
  // in.
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
  // What no stream leads to, and a subgraph would give by its id.
  AuditLog: READERS,
  Experiment: READERS,
  // Of its own VIN it may ask; what it would get elsewhere is not its own.
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
 * Why `caller` may not use a field, or null when it may.
 *
 * @param permission the row of the table; undefined (a root field that nobody has listed) is refused
 * @param args the field's argument values, as in the GraphQL request (enums in GraphQL's spelling)
 * @returns UNAUTHENTICATED for an anonymous caller, FORBIDDEN for a known caller
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
