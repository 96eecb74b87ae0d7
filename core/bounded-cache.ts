/** Keeps the entries that were used last, up to a number of them. */
import { LRUCache } from 'lru-cache';

type CacheOptions<K, V> = Omit<LRUCache.OptionsBase<K, V, unknown>, 'max' | 'maxSize' | 'sizeCalculation'>;

/**
 * Gives a cache of at most `max` entries, in which the one that was used least recently makes room for another. It
 * takes memory only for what it holds. By the option `max`, lru-cache reserves the room of all entries at once, some
 * 30 bytes for each: a control plane in one process had over 20 MB of such room, most of it for vehicles that it does
 * not have.
 */
export function boundedCache<K extends NonNullable<unknown>, V extends NonNullable<unknown>>(
  max: number,
  options: Partial<CacheOptions<K, V>> = {},
): LRUCache<K, V> {
  return new LRUCache<K, V>({ ...options, maxSize: max, sizeCalculation: () => 1 });
}
