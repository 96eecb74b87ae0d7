/**
 * Looks the texts of persisted operations up at the audit subgraph, and keeps them: an id means the same text for ever.
 * Whether it may still be run is asked again.
 */
import { LRUCache } from 'lru-cache';
import { boundedCache } from '../../../core/bounded-cache.ts';
import { unattended } from '../../../core/last-handler/unattended.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import { is, type Guard } from '../../../core/json/shape.ts';
import type { SubgraphConnection } from '../../../core/wire/subgraph/subgraph.ts';
import { gatewayIdentity } from '../../credentials/gateway-identity.ts';
import type { OperationName } from './operation-reference.ts';

/** A text by its SHA-256. */
export interface OperationText {
  readonly sha256: string;
  readonly body: string;
}

/** An operation as the registry holds it. */
export interface RegisteredOperation extends OperationText {
  /** The ids of the API keys that may run it; null where every key may. */
  readonly apiKeys: readonly string[] | null;
}

const isRegistered = is.shape({
  sha256: is.string,
  body: is.string,
  apiKeys: is.nullable(is.listOf(is.string)),
}) satisfies Guard<RegisteredOperation>;

/** A registered operation as it was read. Times are milliseconds of `performance.now()`. */
interface Read {
  readonly operation: RegisteredOperation;
  readonly at: number;
  /** The time of the last look-up beside a call. */
  refreshedAt: number;
}

/** The most bytes of all texts together. */
const MAX_BYTES = 16 * 1024 * 1024;
/**
 * The milliseconds for which an unknown operation is not looked up again: few, because a new operation may be called at
 * once.
 */
const UNKNOWN_TTL_MS = 500;
const MAX_UNKNOWN = 10_000;

const QUERY =
  'query ($id: String, $sha256: String) { persistedOperation(id: $id, sha256: $sha256) { sha256 body apiKeys } }';

const keyOf = (name: OperationName) => ('id' in name ? `id:${name.id}` : `sha256:${name.sha256}`);

/**
 * The milliseconds for which the keys that an operation is bound to count as current: as long as an API key is cached
 * (credentials/api-key-directory.ts).
 */
export const BINDING_TTL_MS = 4_000;
/** The milliseconds after which an operation that a caller without a key runs is looked up again: it may be removed. */
const REFRESH_MS = 30_000;

/** Finds registered operations, and caches them. */
export class OperationTexts {
  /** The names that do not exist, in a cache of their own, so that made-up names evict no operation. */
  readonly #unknown = boundedCache<string, true>(MAX_UNKNOWN, { ttl: UNKNOWN_TTL_MS });
  readonly #found: LRUCache<string, Read, { readonly name: OperationName }>;
  /** The time at which each operation was read, in milliseconds of `performance.now()`. */
  readonly #readAt = new WeakMap<OperationText, number>();

  constructor(private readonly audit: SubgraphConnection) {
    this.#found = new LRUCache<string, Read, { readonly name: OperationName }>({
      maxSize: MAX_BYTES,
      sizeCalculation: ({ operation }, key) => operation.body.length + key.length,
      // The text stays valid while the keys cannot be read.
      noDeleteOnFetchRejection: true,
      // Look-ups of one name at the same time share one request. A failed or empty look-up is not kept.
      fetchMethod: (_key, _stale, { context }) => this.#ask(context.name),
    });
  }

  /**
   * Finds the operation of this name, or null.
   *
   * @param maxAge the most milliseconds since the keys of the operation were read; the text never changes. Where any
   *   age is accepted, an old one is looked up again beside the call, so that a removed one is known soon
   * @throws SERVICE_UNAVAILABLE when it is not cached and the audit subgraph does not answer
   */
  async find(name: OperationName, maxAge = Infinity): Promise<RegisteredOperation | null> {
    const key = keyOf(name);
    if (this.#unknown.has(key)) return null;
    const held = this.#found.get(key);
    const now = performance.now();
    if (held !== undefined && now - held.at <= maxAge) {
      if (now - held.refreshedAt > REFRESH_MS) {
        held.refreshedAt = now;
        unattended(
          // While the registry does not answer, the operation stays.
          this.#lookUp(key, name, true).catch(() => undefined),
          'Looking up an operation again',
        );
      }
      return held.operation;
    }
    return (await this.#lookUp(key, name, held !== undefined))?.operation ?? null;
  }

  /** Looks an operation up, and forgets one that does not exist. */
  async #lookUp(key: string, name: OperationName, forceRefresh: boolean): Promise<Read | undefined> {
    const found = await this.#found.fetch(key, { context: { name }, forceRefresh });
    if (found !== undefined) return found;
    // The cache would keep the former operation of a name that no longer exists.
    this.#found.delete(key);
    this.#unknown.set(key, true);
    return undefined;
  }

  /** Checks whether an operation that `find` gave was read so recently that its keys still count. */
  isBelieved(operation: OperationText): boolean {
    return performance.now() - (this.#readAt.get(operation) ?? -Infinity) <= BINDING_TTL_MS;
  }

  async #ask(name: OperationName): Promise<Read | undefined> {
    const at = performance.now();
    const variables = 'id' in name ? { id: name.id } : { sha256: name.sha256 };
    const { data, errors } = await this.audit.execute({ query: QUERY, variables, identity: gatewayIdentity() });
    const [error] = errors ?? [];
    if (error?.extensions?.['code'] === 'SERVICE_UNAVAILABLE')
      throw new FleetFlagError('SERVICE_UNAVAILABLE', error.message);
    if (error !== undefined) throw new Error(`A persisted operation could not be looked up: ${error.message}`);
    const operation = data?.['persistedOperation'] ?? null;
    if (operation === null) return undefined;
    if (!isRegistered(operation))
      throw new Error('The audit subgraph gave an operation that this gateway cannot read.');
    this.#readAt.set(operation, at);
    return { operation, at, refreshedAt: at };
  }
}
