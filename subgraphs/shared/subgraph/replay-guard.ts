/**
 * The replay guard of identity tokens: a subgraph accepts each token for one request
 * (core/credentials/identity-token.ts).
 */
import { boundedCache } from '../../../core/bounded-cache.ts';
import { withTimeout } from '../../../core/async/timeout.ts';
import { IDENTITY_TOKEN_SECONDS, type ReplayGuard } from '../../../core/credentials/identity-token.ts';
import type { SubgraphName } from '../../../core/wire/subgraph/subgraph.ts';
import type { KeyValueStore } from '../stores/key-value-store.ts';

/** The most tokens kept: those of 6,000 requests a second, for as long as they are valid. Only valid ones are kept. */
const MAX_TOKENS = 6_000 * IDENTITY_TOKEN_SECONDS;
/** The most milliseconds that a request waits for the store. */
const STORE_TIMEOUT_MS = 250;
/** Milliseconds for which a store that did not answer is not asked again. */
const STORE_PAUSE_MS = 5_000;

/**
 * Creates a replay guard that remembers tokens in this process and, for the subgraph's other instances, in `store`.
 * While the store does not answer, this process decides alone.
 */
export function createReplayGuard(
  subgraph: SubgraphName,
  store: Pick<KeyValueStore, 'setIfAbsent'>,
  logger: { warn(fields: object, message: string): void },
): ReplayGuard {
  const here = boundedCache<string, true>(MAX_TOKENS);
  let pausedUntil = 0;
  return {
    async isReplay(id, expiresAt) {
      const milliseconds = Math.max(1, expiresAt.getTime() - Date.now());
      // The check comes before anything is awaited, so that of two concurrent uses one is the second.
      if (here.has(id)) return true;
      here.set(id, true, { ttl: milliseconds });
      if (performance.now() < pausedUntil) return false;
      try {
        const isNew = await withTimeout(STORE_TIMEOUT_MS, `No answer in ${STORE_TIMEOUT_MS} ms`, () =>
          store.setIfAbsent(`identity:${subgraph}:${id}`, '', Math.ceil(milliseconds / 1000)),
        );
        return !isNew;
      } catch (error) {
        pausedUntil = performance.now() + STORE_PAUSE_MS;
        logger.warn(
          { err: error, subgraph },
          'Cannot reach the store of used identity tokens; checking for replays in this process only, and trying again later',
        );
        return false;
      }
    },
  };
}
