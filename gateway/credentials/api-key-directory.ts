/**
 * Finds API keys by requests to the audit subgraph, and caches the answers for a few seconds. The time counts from the
 * request, so that a revoked key is refused everywhere within those seconds, even if the stream of revocations is lost.
 */
import DataLoader from 'dataloader';
import type { LRUCache } from 'lru-cache';
import { boundedCache } from '../../core/bounded-cache.ts';
import { FleetFlagError } from '../../core/errors.ts';
import { API_KEY_ROLES } from '../../core/access/caller.ts';
import type { ApiKeyCredential } from '../../core/credentials/api-key.ts';
import { is } from '../../core/json/shape.ts';
import type { SubgraphConnection } from '../../core/wire/subgraph/subgraph.ts';
import { gatewayIdentity } from './gateway-identity.ts';

/** The milliseconds for which a key is cached. Revocation takes effect within 5 s, which leaves 1 s for the answer. */
const KNOWN_TTL_MS = 4_000;
/** The milliseconds for which an unknown key is cached: few, because a new key must work soon. */
const UNKNOWN_TTL_MS = 1_000;
const MAX_KNOWN = 10_000;
/** The most keys in one request. */
const MAX_BATCH = 50;

/** Gives the query for `count` keys: `$h0`, `$h1`, … are their hashes, and `k0`, `k1`, … the answers. */
function queryFor(count: number): string {
  const numbers = Array.from({ length: count }, (_, index) => index);
  const fields = numbers.map((n) => `k${n}: apiKeyCredential(keyHash: $h${n}) { id role rateLimitPerMin expiresAt }`);
  return `query (${numbers.map((n) => `$h${n}: String!`).join(', ')}) { ${fields.join(' ')} }`;
}

/** The subgraph's answer for one key; null for a key that does not exist. In the same process, times are dates. */
const isAnswer = is.nullable(
  is.shape({
    id: is.string,
    role: is.oneOf(API_KEY_ROLES),
    rateLimitPerMin: is.number,
    expiresAt: is.nullable(is.either(is.string, is.date)),
  }),
);

/** Finds API keys by their hashes. */
export class ApiKeyDirectory {
  readonly #known: LRUCache<string, { credential: ApiKeyCredential | null }>;
  /** The ids of revoked keys. They never become valid again, so an answer that was under way must not revive one. */
  readonly #revoked = boundedCache<string, true>(MAX_KNOWN);
  /** Batches requests. Its cache holds only requests that are under way. */
  readonly #asking = new DataLoader<string, ApiKeyCredential | null>((hashes) => this.#askSubgraph(hashes), {
    maxBatchSize: MAX_BATCH,
  });

  /** @param clock a monotonic clock, in milliseconds */
  constructor(
    private readonly audit: Pick<SubgraphConnection, 'execute'>,
    private readonly clock: () => number = () => performance.now(),
  ) {
    this.#known = boundedCache(MAX_KNOWN, { perf: { now: clock }, ttlResolution: 0 });
  }

  /** Gives the key with this SHA-256 (hexadecimal) where it is cached and valid. */
  known(keyHash: string): ApiKeyCredential | null {
    return this.#ifValid(this.#known.get(keyHash)?.credential ?? null);
  }

  /**
   * Finds the key with this SHA-256 (hexadecimal); null when it is unknown, revoked or expired. Rejects with
   * SERVICE_UNAVAILABLE when the audit subgraph does not answer.
   */
  async find(keyHash: string): Promise<ApiKeyCredential | null> {
    const known = this.#known.get(keyHash);
    return this.#ifValid(known === undefined ? await this.#ask(keyHash) : known.credential);
  }

  /**
   * Reads keys that are in use again, without the cache, and gives the hashes of those that are no longer valid. A key
   * that cannot be read is not among them.
   */
  async noLongerValid(keyHashes: readonly string[]): Promise<ReadonlySet<string>> {
    const answers = await Promise.allSettled(keyHashes.map((hash) => this.#ask(hash)));
    return new Set(
      keyHashes.filter((_, index) => {
        const answer = answers[index];
        return answer?.status === 'fulfilled' && this.#ifValid(answer.value) === null;
      }),
    );
  }

  /** Records that the key with this id was revoked. */
  revoke(id: string): void {
    this.#revoked.set(id, true);
  }

  #ifValid(credential: ApiKeyCredential | null): ApiKeyCredential | null {
    if (credential === null || this.#revoked.has(credential.id)) return null;
    return credential.expiresAt !== null && credential.expiresAt.getTime() <= Date.now() ? null : credential;
  }

  async #ask(keyHash: string): Promise<ApiKeyCredential | null> {
    try {
      return await this.#asking.load(keyHash);
    } finally {
      this.#asking.clear(keyHash);
    }
  }

  async #askSubgraph(hashes: readonly string[]): Promise<(ApiKeyCredential | null)[]> {
    const askedAt = this.clock();
    const variables = Object.fromEntries(hashes.map((hash, index) => [`h${index}`, hash]));
    const { data, errors } = await this.audit.execute({
      query: queryFor(hashes.length),
      variables,
      identity: gatewayIdentity(),
    });
    if (!data || errors !== undefined)
      throw new FleetFlagError(
        'SERVICE_UNAVAILABLE',
        'API keys cannot be checked at the moment; try again.',
        { retryAfter: 1 },
        { cause: errors },
      );
    return hashes.map((hash, index) => {
      const answer = data[`k${index}`];
      if (!isAnswer(answer))
        throw new Error('The audit subgraph gave an API key in a form that this gateway cannot read.');
      const credential = answer && {
        ...answer,
        expiresAt: answer.expiresAt === null ? null : new Date(answer.expiresAt),
      };
      const ttl = (credential === null ? UNKNOWN_TTL_MS : KNOWN_TTL_MS) - (this.clock() - askedAt);
      if (ttl > 0) this.#known.set(hash, { credential }, { ttl });
      return credential;
    });
  }
}
