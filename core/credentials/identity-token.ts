/**
 * Identity tokens: they carry the caller's identity from a gateway to a subgraph in another process. A token is a
 * short-lived JWT (HS256) under a key that both derive from `FLEETFLAG_INTERNAL_SECRET`. It is bound to one subgraph
 * and one body, and is accepted once, so a copy of it is worth nothing.
 */
import { createHash, hkdfSync, randomUUID } from 'node:crypto';
import { FleetFlagError } from '../errors.ts';
import { canonicalJson } from '../json/canonical-json.ts';
import type { CallerIdentity } from '../access/caller.ts';
import type { SubgraphName } from '../wire/subgraph/subgraph.ts';
import { importKey, signJwt, verifyJwt } from './hmac-jwt.ts';

/** The HTTP header, and the member of a websocket subscribe message's `extensions`, that carries the token. */
export const IDENTITY_HEADER = 'x-fleetflag-identity';

/** The body to which the token in a websocket's connection_init is bound. */
export const CONNECTION_BODY = 'connection_init';

const TYPE = 'fleetflag-identity+jwt';

interface IdentityClaims {
  readonly identity: CallerIdentity;
  /** The SHA-256 of the request's body, base64url. */
  readonly body: string;
  readonly jti: string;
  /** The end of the token, in seconds since 1970. */
  readonly exp: number;
}

/** The lifetime of a token: enough for a slow network, and too short to be of use to a thief. */
const LIFETIME_SECONDS = 30;
/** The seconds by which the clocks of a gateway and a subgraph may differ: those of two hosts always do. */
const CLOCK_TOLERANCE_SECONDS = 10;
/** The most seconds for which a subgraph accepts a token. It comes to so many where the gateway's clock is ahead. */
export const IDENTITY_TOKEN_SECONDS = LIFETIME_SECONDS + 2 * CLOCK_TOLERANCE_SECONDS;

/** The replay guard of a subgraph: it remembers the tokens that were accepted. */
export interface ReplayGuard {
  /**
   * Says whether the token `id` was accepted before, and records it as accepted. The record may go after `expiresAt`,
   * because the token is then refused for its age. Never rejects.
   */
  isReplay(id: string, expiresAt: Date): Promise<boolean>;
}

/** Signs and verifies identity tokens. */
export interface IdentityTokens {
  /** Gives a token that accompanies `body` (exactly as it is sent) to `subgraph`. */
  sign(identity: CallerIdentity, subgraph: SubgraphName, body: string): Promise<string>;
  /**
   * Gives the identity in `token`. Rejects with UNAUTHENTICATED when the token is missing, forged, expired, made for
   * another subgraph or another body, or used before.
   */
  verify(
    token: string | undefined,
    subgraph: SubgraphName,
    body: string,
    replayGuard: ReplayGuard,
  ): Promise<CallerIdentity>;
}

/** Derives a purpose-bound 32-byte key from a shared secret (HKDF-SHA-256, RFC 5869). */
export function deriveKey(secret: string, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, 'fleetflag', purpose, 32));
}

/**
 * Makes the signer and verifier of identity tokens.
 *
 * @param secret `FLEETFLAG_INTERNAL_SECRET`: at least 32 characters
 */
export function createIdentityTokens(secret: string): IdentityTokens {
  const key = importKey(deriveKey(secret, 'gateway-to-subgraph'));
  const digest = (body: string) => createHash('sha256').update(body).digest('base64url');
  return {
    async sign(identity, subgraph, body) {
      const iat = Math.floor(Date.now() / 1_000);
      const claims = {
        identity,
        body: digest(body),
        aud: subgraph,
        jti: randomUUID(),
        iat,
        exp: iat + LIFETIME_SECONDS,
      };
      return signJwt(TYPE, claims, key);
    },
    async verify(token, subgraph, body, replayGuard) {
      if (token === undefined) throw new FleetFlagError('UNAUTHENTICATED', 'The request has no caller identity token.');
      try {
        const expected = {
          typ: TYPE,
          audience: subgraph,
          required: ['exp', 'jti'],
          maxAgeSeconds: LIFETIME_SECONDS,
          clockToleranceSeconds: CLOCK_TOLERANCE_SECONDS,
        };
        // oxlint-disable-next-line typescript/consistent-type-assertions -- what has our signature we wrote, in this form
        const claims = verifyJwt(token, key, expected, Date.now()) as unknown as IdentityClaims;
        if (claims.body !== digest(body)) throw new Error('it was signed for another request body');
        // This check comes last, so that only tokens that would be accepted take up memory.
        const refusedFrom = new Date((claims.exp + CLOCK_TOLERANCE_SECONDS) * 1_000);
        if (await replayGuard.isReplay(claims.jti, refusedFrom)) throw new Error('it was used before');
        return withPresentNames(claims.identity);
      } catch (cause) {
        throw new FleetFlagError('UNAUTHENTICATED', 'The caller identity token is not valid.', {}, { cause });
      }
    },
  };
}

/**
 * Gives the identity with the names of this version. An older gateway calls an anonymous caller `nobody`,
 * and gateways are updated after the subgraphs (docs/operations/deployment.md, "Upgrades and migrations").
 */
function withPresentNames(identity: CallerIdentity): CallerIdentity {
  const kind: string = identity.caller.kind;
  return kind === 'nobody' ? { ...identity, caller: { kind: 'anonymous' } } : identity;
}

/** Gives the body to which an identity token is bound: the operation, in one form for HTTP and websockets. */
export function signedBody(request: {
  query: string;
  operationName?: string | undefined;
  variables?: Readonly<Record<string, unknown>> | undefined;
}): string {
  return canonicalJson([request.query, request.operationName ?? null, request.variables ?? null]);
}
