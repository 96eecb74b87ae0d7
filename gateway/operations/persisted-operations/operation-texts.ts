/** The texts of persisted operations, from the audit subgraph, kept here: an id means one text for ever. */
import { LRUCache } from 'lru-cache';
import { FleetFlagError } from '../../../core/errors.ts';
import type { SubgraphConnection } from '../../../core/wire/subgraph.ts';
import { gatewayIdentity } from '../../credentials/api-key-directory.ts';
import type { OperationName } from './operation-reference.ts';

export interface OperationText {
  readonly sha256: string;
  readonly body: string;
}

/** What the registry says of an operation. */
export interface RegisteredOperation extends OperationText {
  /** The ids of the keys that may run it; null: any. */
  readonly apiKeys: readonly string[] | null;
}

/** A registered operation as it was read, in milliseconds of `performance.now()`. */
interface Read {
  readonly operation: RegisteredOperation;
  readonly at: number;
}

/** Of all texts that are kept together, in bytes. */
const MAX_BYTES = 16 * 1024 * 1024;
/** How long one that is not there is not asked for again, in milliseconds: who registers it calls it at once. */
const UNKNOWN_AGE = 500;
const MAX_UNKNOWN = 10_000;

const QUERY =
  'query ($id: String, $sha256: String) { persistedOperation(id: $id, sha256: $sha256) { sha256 body apiKeys } }';

const keyOf = (name: OperationName) => ('id' in name ? `id:${name.id}` : `sha256:${name.sha256}`);

/**
 * How long it is believed which keys an operation is bound to, in milliseconds: as long as a key itself
 * (credentials/api-key-directory.ts).
 */
export const BINDING_AGE = 4_000;

export class OperationTexts {
  /** Its own, so that made-up names push nothing out that is there. */
  readonly #unknown = new LRUCache<string, true>({ max: MAX_UNKNOWN, ttl: UNKNOWN_AGE });
  readonly #found: LRUCache<string, Read, { readonly name: OperationName }>;

  constructor(private readonly audit: SubgraphConnection) {
    this.#found = new LRUCache<string, Read, { readonly name: OperationName }>({
      maxSize: MAX_BYTES,
      sizeCalculation: ({ operation }, key) => operation.body.length + key.length,
      // A text stays true, whoever cannot be asked for its keys at present.
      noDeleteOnFetchRejection: true,
      // Asks for one name that come together are one ask; what rejects or is not there is not kept.
      fetchMethod: (_key, _stale, { context }) => this.#ask(context.name),
    });
  }

  /**
   * The operation of this name, or null.
   *
   * @param maxAge of what is known of its keys, in milliseconds; the text is true for ever
   * @throws SERVICE_UNAVAILABLE when it is not known here and the audit subgraph cannot tell
   */
  async find(name: OperationName, maxAge = Infinity): Promise<RegisteredOperation | null> {
    const key = keyOf(name);
    if (this.#unknown.has(key)) return null;
    const held = this.#found.get(key);
    if (held !== undefined && performance.now() - held.at <= maxAge) return held.operation;
    const found = await this.#found.fetch(key, {
      context: { name },
      forceRefresh: held !== undefined,
    });
    if (found !== undefined) return found.operation;
    this.#unknown.set(key, true);
    return null;
  }

  async #ask(name: OperationName): Promise<Read | undefined> {
    const at = performance.now();
    const variables = 'id' in name ? { id: name.id } : { sha256: name.sha256 };
    const { data, errors } = await this.audit.execute({ query: QUERY, variables, identity: gatewayIdentity() });
    const [error] = errors ?? [];
    if (error?.extensions?.['code'] === 'SERVICE_UNAVAILABLE')
      throw new FleetFlagError('SERVICE_UNAVAILABLE', error.message);
    if (error !== undefined) throw new Error(`A persisted operation could not be looked up: ${error.message}`);
    const operation = data?.['persistedOperation'] as RegisteredOperation | null | undefined;
    return operation ? { operation, at } : undefined;
  }
}
