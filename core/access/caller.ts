/**
 * Who is calling, as the gateway found out and as every subgraph is told.
 *
 * A caller with a null identity (`userId`, `apiKeyId`, `vin`) stands for everybody of that permission scope: shared
 * subscriptions run under it, because their result goes to all who may see the same.
 */
import type { Environment } from '../model.ts';

export const ROLES = ['ADMIN', 'WRITE', 'READ', 'SAFETY'] as const;
export type Role = (typeof ROLES)[number];
export type ApiKeyRole = Exclude<Role, 'SAFETY'>;

export interface AnonymousCaller {
  readonly kind: 'anonymous';
}
export interface UserCaller {
  readonly kind: 'user';
  readonly userId: string | null;
  readonly role: Role;
  /**
   * The key under which their session is kept (session.ts), never its token; null for everybody of a role and for what
   * runs without a session.
   */
  readonly sessionKey: string | null;
}
export interface ApiKeyCaller {
  readonly kind: 'apiKey';
  readonly apiKeyId: string | null;
  readonly role: ApiKeyRole;
  /**
   * Operations a minute, over all gateways; null in a permission scope: how often a key may ask does not decide what it
   * sees.
   */
  readonly rateLimitPerMin: number | null;
}
export interface VehicleCaller {
  readonly kind: 'vehicle';
  readonly vin: string | null;
  readonly environment: Environment;
}
/**
 * A gateway that asks for itself, on nobody's behalf: whose a credential is, what a persisted operation says. Never a
 * client.
 */
export interface GatewayCaller {
  readonly kind: 'gateway';
}
export type Caller = AnonymousCaller | UserCaller | ApiKeyCaller | VehicleCaller | GatewayCaller;

/** The user who does something: null where a key, a vehicle or the control plane itself does it. */
export function actingUser(caller: Caller): string | null {
  return caller.kind === 'user' ? caller.userId : null;
}

/** Where a request came from; goes into the audit trail. */
export interface RequestOrigin {
  readonly ipAddress: string | null;
  readonly userAgent: string | null;
  /** UUID. */
  readonly requestId: string;
}

/** What a subgraph is told about a request. */
export interface CallerIdentity {
  readonly caller: Caller;
  readonly origin: RequestOrigin;
}

/**
 * The part of a caller that decides what may be seen, not who is looking: all vehicles of an environment share
 * one, and so do all users of a role. Source: design.md, "one upstream subscription for each distinct operation".
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
      return { kind: 'vehicle', vin: null, environment: caller.environment };
  }
}
