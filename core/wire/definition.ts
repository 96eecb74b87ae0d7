/**
 * The wire forms that vehicles trust: the payloads of signed flag definitions and statements.
 *
 * The server signs them and the agent verifies them (compact JWS, EdDSA); this file only says what is signed.
 */
import type { Environment, FlagDefinition } from '../model.ts';

/** The JWS `typ` headers. A signature that was made for one of them is never accepted for the other. */
export const DEFINITION_JWS_TYPE = 'fleetflag-definition+jws';
export const STATEMENT_JWS_TYPE = 'fleetflag-statement+jws';

/** The seconds for which a flag may be used after the last verified contact: 7 days. */
export const DEFAULT_TTL_SECONDS = 604_800;

/**
 * The payload of a `SignedFlag.jws`: a definition, or a tombstone for a flag that has left the environment. In a
 * definition each whitelist is `{"digests": […]}` instead of `{"vins": […]}`.
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

/** The payload of a `statement`: it says that the environment stood at `revision` at `issuedAt` (Unix seconds). */
export interface StatementPayload {
  readonly v: 1;
  readonly environment: Environment;
  readonly revision: number;
  readonly issuedAt: number;
}
