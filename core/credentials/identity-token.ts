/**
 * The caller's identity between gateway and subgraph when they are processes of their own: a short-lived JWT
 * (HS256) under a key that both derive from `FLEETFLAG_INTERNAL_SECRET`, bound to one subgraph and one body, and
 * accepted once, so that a copy of it is worth nothing.
 */
import { createHash, hkdfSync, randomUUID } from 'node:crypto';
import { SignJWT, jwtVerify } from 'jose';
import { FleetFlagError } from '../errors.ts';
import { canonicalJson } from '../json/canonical-json.ts';
import type { CallerIdentity } from '../access/caller.ts';
import type { SubgraphName } from '../wire/subgraph.ts';

/** The HTTP header, and the member of a websocket subscribe message's `extensions`, that carries the token. */
export const IDENTITY_HEADER = 'x-fleetflag-identity';

/** What the token in a websocket's connection_init is bound to. */
export const CONNECTION_BODY = 'connection_init';

/** Long enough for clocks a little apart, too short to be of use to a thief. */
const LIFETIME_SECONDS = 30;

/** What a subgraph remembers of the tokens that it has accepted. */
export interface ReplayGuard {
  /**
   * Whether the token `id` has been accepted before; from this call on it has. Forgotten after `expiresAt`, when the
   * token is refused for its age. Never rejects.
   */
  isReplay(id: string, expiresAt: Date): Promise<boolean>;
}

export interface IdentityTokens {
  /** A token for `identity` to accompany `body` (the exact bytes that are sent) to `subgraph`. */
  sign(identity: CallerIdentity, subgraph: SubgraphName, body: string): Promise<string>;
  /**
   * The identity in `token`. Throws UNAUTHENTICATED when it is missing, forged, expired, for another subgraph or
   * another body, or has been used.
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
 * @param secret `FLEETFLAG_INTERNAL_SECRET`: at least 32 characters
 */
export function createIdentityTokens(secret: string): IdentityTokens {
  const key = deriveKey(secret, 'gateway-to-subgraph');
  const digest = (body: string) => createHash('sha256').update(body).digest('base64url');
  return {
    sign: (identity, subgraph, body) =>
      new SignJWT({ identity, body: digest(body) })
        .setProtectedHeader({ alg: 'HS256', typ: 'fleetflag-identity+jwt' })
        .setAudience(subgraph)
        .setJti(randomUUID())
        .setIssuedAt()
        .setExpirationTime(`${LIFETIME_SECONDS}s`)
        .sign(key),
    async verify(token, subgraph, body, replayGuard) {
      if (token === undefined) throw new FleetFlagError('UNAUTHENTICATED', 'The request has no caller identity token.');
      try {
        const { payload } = await jwtVerify<{ identity: CallerIdentity; body: string; jti: string; exp: number }>(
          token,
          key,
          {
            algorithms: ['HS256'],
            typ: 'fleetflag-identity+jwt',
            audience: subgraph,
            requiredClaims: ['exp', 'jti'],
            maxTokenAge: LIFETIME_SECONDS,
          },
        );
        if (payload.body !== digest(body)) throw new Error('it was signed for another request body');
        // Last, so that only what would be accepted takes room in the memory.
        if (await replayGuard.isReplay(payload.jti, new Date(payload.exp * 1000)))
          throw new Error('it was used before');
        return withPresentNames(payload.identity);
      } catch (cause) {
        throw new FleetFlagError('UNAUTHENTICATED', 'The caller identity token is not valid.', {}, { cause });
      }
    },
  };
}

/**
 * The identity with the names of this version: a gateway of the version before, which is replaced after the subgraphs
 * (docs/operations/deployment.md, "Upgrades and migrations"), calls an anonymous caller `nobody`.
 */
function withPresentNames(identity: CallerIdentity): CallerIdentity {
  const kind: string = identity.caller.kind;
  return kind === 'nobody' ? { ...identity, caller: { kind: 'anonymous' } } : identity;
}

/** The bytes that an identity token is bound to: the operation itself, whatever carries it. */
export function signedBody(request: {
  query: string;
  operationName?: string | undefined;
  variables?: Readonly<Record<string, unknown>> | undefined;
}): string {
  return canonicalJson([request.query, request.operationName ?? null, request.variables ?? null]);
}
