/** Which identity tokens a subgraph has accepted: each is good for one request (core/credentials/identity-token.ts). */
import { setTimeout as delay } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { ReplayGuard } from '../../../core/credentials/identity-token.ts';
import type { SubgraphName } from '../../../core/wire/subgraph.ts';
import type { KeyValueStore } from '../stores/key-value-store.ts';

/** 30 seconds, a token's whole life, of 6,000 requests a second. Only genuine tokens take room. */
const MAX_TOKENS = 180_000;
/** Milliseconds that a request may be held up by a store that does not answer. */
const STORE_PATIENCE = 250;
/** Milliseconds without asking a store that did not answer. */
const STORE_PAUSE = 5_000;

/**
 * Remembers in this process and, for the other instances of the subgraph, in `store`. While the store does not answer
 * this process decides alone.
 */
export function createReplayGuard(
  subgraph: SubgraphName,
  store: Pick<KeyValueStore, 'setIfAbsent'>,
  logger: { warn(fields: object, message: string): void },
): ReplayGuard {
  const here = new LRUCache<string, true>({ max: MAX_TOKENS });
  let pausedUntil = 0;
  return {
    async isReplay(id, expiresAt) {
      const milliseconds = Math.max(1, expiresAt.getTime() - Date.now());
      // Before anything is waited for: of two uses at once one is the second.
      if (here.has(id)) return true;
      here.set(id, true, { ttl: milliseconds });
      if (performance.now() < pausedUntil) return false;
      try {
        const isNew = await Promise.race([
          store.setIfAbsent(`identity:${subgraph}:${id}`, '', Math.ceil(milliseconds / 1000)),
          delay(STORE_PATIENCE, null, { ref: false }),
        ]);
        if (isNew === null) throw new Error(`No answer in ${STORE_PATIENCE} ms`);
        return !isNew;
      } catch (error) {
        pausedUntil = performance.now() + STORE_PAUSE;
        logger.warn({ err: error, subgraph }, 'Used identity tokens are remembered in this process only.');
        return false;
      }
    },
  };
}
