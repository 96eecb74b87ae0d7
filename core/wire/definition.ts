/**
 * The wire forms that vehicles trust: the payloads of the signed flag definitions and statements.
 *
 * Signing and verifying (compact JWS, EdDSA) happen at the edges; here is only what is signed.
 */
import type { Environment, FlagDefinition } from '../model.ts';

/** JWS `typ` headers: a signature made for one purpose is never accepted for the other. */
export const DEFINITION_JWS_TYPE = 'fleetflag-definition+jws';
export const STATEMENT_JWS_TYPE = 'fleetflag-statement+jws';

/** Seconds that a flag may be used after the last verified contact: 7 days. */
export const DEFAULT_TTL_SECONDS = 604_800;

/**
 * The payload of a `SignedFlag.jws`: a definition, or a tombstone for a flag that has left the environment.
 * In the definition each whitelist is `{"digests": […]}` instead of `{"vins": […]}`.
 */
export type SignedPayload =
  | {
      readonly v: 1;
      readonly environment: Environment;
      readonly key: string;
      readonly revision: number;
      readonly removed: false;
      readonly flag: FlagDefinition;
    }
  | {
      readonly v: 1;
      readonly environment: Environment;
      readonly key: string;
      readonly revision: number;
      readonly removed: true;
    };

/** The payload of a `statement`: at `issuedAt` (Unix seconds) the environment stood at `revision`. */
export interface StatementPayload {
  readonly v: 1;
  readonly environment: Environment;
  readonly revision: number;
  readonly issuedAt: number;
}
