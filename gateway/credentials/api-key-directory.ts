/**
 * Looks API keys up at the audit subgraph, and caches the answers for a few seconds. The time counts from the request,
 * so that a revoked key is refused everywhere within those seconds, even if the stream of revocations is lost.
 */
import { randomUUID } from 'node:crypto';
import DataLoader from 'dataloader';
import { LRUCache } from 'lru-cache';
import { FleetFlagError } from '../../core/errors.ts';
import type { ApiKeyRole, CallerIdentity } from '../../core/access/caller.ts';
import type { SubgraphConnection } from '../../core/wire/subgraph.ts';

/** An API key, as the audit subgraph describes it. */
export interface ApiKeyCredential {
  readonly id: string;
  readonly role: ApiKeyRole;
  readonly rateLimitPerMin: number;
  readonly expiresAt: Date | null;
}

/** The milliseconds for which a key is cached. Revocation takes effect within 5 s, which leaves 1 s for the answer. */
const KNOWN_FOR = 4_000;
/** The milliseconds for which an unknown key is cached: few, because a new key must work soon. */
const UNKNOWN_FOR = 1_000;
const MAX_KNOWN = 10_000;
/** The most keys in one request. */
const MAX_BATCH = 50;

/** Gives the identity with which the gateway calls a subgraph on its own behalf. */
export function gatewayIdentity(): CallerIdentity {
  return { caller: { kind: 'gateway' }, origin: { ipAddress: null, userAgent: null, requestId: randomUUID() } };
}

/** Gives the query for `count` keys: `$h0`, `$h1`, … are their hashes, and `k0`, `k1`, … the answers. */
function question(count: number): string {
  const numbers = Array.from({ length: count }, (_, index) => index);
  const fields = numbers.map((n) => `k${n}: apiKeyCredential(keyHash: $h${n}) { id role rateLimitPerMin expiresAt }`);
  return `query (${numbers.map((n) => `$h${n}: String!`).join(', ')}) { ${fields.join(' ')} }`;
}

type Answered = (Omit<ApiKeyCredential, 'expiresAt'> & { expiresAt: string | null }) | null;

/** Finds API keys by their hashes. */
export class ApiKeyDirectory {
  readonly #known: LRUCache<string, { credential: ApiKeyCredential | null }>;
  /** The ids of revoked keys. They never become valid again, so an answer that was under way must not revive one. */
  readonly #ended = new LRUCache<string, true>({ max: MAX_KNOWN });
  /** Batches requests. Its cache holds only requests that are under way. */
  readonly #asking = new DataLoader<string, ApiKeyCredential | null>((hashes) => this.#askSubgraph(hashes), {
    maxBatchSize: MAX_BATCH,
  });

  /** @param clock a monotonic clock, in milliseconds */
  constructor(
    private readonly audit: Pick<SubgraphConnection, 'execute'>,
    private readonly clock: () => number = () => performance.now(),
  ) {
    this.#known = new LRUCache({ max: MAX_KNOWN, perf: { now: clock }, ttlResolution: 0 });
  }

  /** Gives the key with this SHA-256 (hexadecimal) where it is cached and valid. */
  known(keyHash: string): ApiKeyCredential | null {
    return this.#ifGood(this.#known.get(keyHash)?.credential ?? null);
  }

  /**
   * Finds the key with this SHA-256 (hexadecimal); null when it is unknown, revoked or expired. Rejects with
   * SERVICE_UNAVAILABLE when the audit subgraph does not answer.
   */
  async find(keyHash: string): Promise<ApiKeyCredential | null> {
    const known = this.#known.get(keyHash);
    return this.#ifGood(known === undefined ? await this.#ask(keyHash) : known.credential);
  }

  /** Looks keys in use up again, past the cache, and gives those that have ended. A failed look-up ends none. */
  async ended(keyHashes: readonly string[]): Promise<ReadonlySet<string>> {
    const answers = await Promise.allSettled(keyHashes.map((hash) => this.#ask(hash)));
    return new Set(
      keyHashes.filter((_, index) => {
        const answer = answers[index];
        return answer?.status === 'fulfilled' && this.#ifGood(answer.value) === null;
      }),
    );
  }

  /** Records that the key with this id was revoked. */
  end(id: string): void {
    this.#ended.set(id, true);
  }

  #ifGood(credential: ApiKeyCredential | null): ApiKeyCredential | null {
    if (credential === null || this.#ended.has(credential.id)) return null;
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
      query: question(hashes.length),
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
      const answer = data[`k${index}`] as Answered;
      const credential = answer && {
        ...answer,
        expiresAt: answer.expiresAt === null ? null : new Date(answer.expiresAt),
      };
      const ttl = (credential === null ? UNKNOWN_FOR : KNOWN_FOR) - (this.clock() - askedAt);
      if (ttl > 0) this.#known.set(hash, { credential }, { ttl });
      return credential;
    });
  }
}
