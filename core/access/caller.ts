/**
 * The caller of an operation: the gateway finds out who it is and passes that on to every subgraph.
 *
 * A caller with a null identity (`userId`, `apiKeyId`, `vin`) stands for all callers of its permission scope. Shared
 * subscriptions run under such a caller, because their results go to everybody who may see the same.
 */
import type { Environment } from '../model.ts';

export const ROLES = ['ADMIN', 'WRITE', 'READ', 'SAFETY'] as const;
/** The role of a user. */
export type Role = (typeof ROLES)[number];
export const API_KEY_ROLES = ['ADMIN', 'WRITE', 'READ'] as const satisfies readonly Role[];
/** The role of an API key. */
export type ApiKeyRole = (typeof API_KEY_ROLES)[number];

/** A caller without credentials. */
export interface AnonymousCaller {
  readonly kind: 'anonymous';
}
/** A signed-in user. */
export interface UserCaller {
  readonly kind: 'user';
  readonly userId: string | null;
  readonly role: Role;
  /**
   * The key under which the user's session is stored (core/credentials/session.ts), never the session's token. Null in
   * a permission scope, and for work that runs without a session.
   */
  readonly sessionKey: string | null;
}
/** A partner with an API key. */
export interface ApiKeyCaller {
  readonly kind: 'apiKey';
  readonly apiKeyId: string | null;
  readonly role: ApiKeyRole;
  /**
   * The number of operations that the key may run in a minute, over all gateways. Null in a permission scope, because
   * a rate does not decide what a key may see.
   */
  readonly rateLimitPerMin: number | null;
}
/** A vehicle with a token. */
export interface VehicleCaller {
  readonly kind: 'vehicle';
  readonly vin: string | null;
  readonly environment: Environment;
  /**
   * The vehicle's partition of the environment (core/partitions/partition.ts), as the gateway last learnt it. Absent
   * where no gateway has: the vehicle then gets what vehicles of no named model get.
   */
  readonly partition?: string;
}
/**
 * A gateway that calls a subgraph on its own behalf, for example to look up a credential or a persisted operation. No
 * client ever gets this identity.
 */
export interface GatewayCaller {
  readonly kind: 'gateway';
}
/** The caller of an operation. */
export type Caller = AnonymousCaller | UserCaller | ApiKeyCaller | VehicleCaller | GatewayCaller;

/** Gives the id of the acting user; null where a key, a vehicle or the control plane itself acts. */
export function actingUser(caller: Caller): string | null {
  return caller.kind === 'user' ? caller.userId : null;
}

/** The origin of a request, as the audit log records it. */
export interface RequestOrigin {
  readonly ipAddress: string | null;
  readonly userAgent: string | null;
  /** The id of the request, a UUID. */
  readonly requestId: string;
}

/** The caller and the origin of a request, as the gateway passes them to a subgraph. */
export interface CallerIdentity {
  readonly caller: Caller;
  readonly origin: RequestOrigin;
}

/**
 * Gives the part of a caller that decides what it may see, without its identity. All vehicles of a partition share
 * one scope, and so do all users of a role. Source: design.md, "one upstream subscription for each distinct
 * operation".
 */
export function permissionScope(caller: Caller): Caller {
  switch (caller.kind) {
    case 'anonymous':
    case 'gateway':
      return caller;
    case 'user':
      return { kind: 'user', userId: null, role: caller.role, sessionKey: null };
    case 'apiKey':
      return { kind: 'apiKey', apiKeyId: null, role: caller.role, rateLimitPerMin: null };
    case 'vehicle':
      return {
        kind: 'vehicle',
        vin: null,
        environment: caller.environment,
        ...(caller.partition !== undefined && { partition: caller.partition }),
      };
  }
}
