/**
 * The places of limits that workers share (gateway/operations/turns/shared-limits.ts): each worker has some of its own,
 * and the rest of them are lent here, in the order of the requests.
 */
import type { SharedLimits } from '../../gateway/operations/turns/shared-limits.ts';
import { sentCount, sentString, type Methods, type ProcessChannel } from './process-channel.ts';

/** A request for a place, which waits until one is free. */
interface PlaceRequest<Holder> {
  readonly holder: Holder;
  readonly grant: () => void;
}

interface Pool<Holder> {
  readonly size: number;
  lent: number;
  readonly holders: Map<Holder, number>;
  waiting: PlaceRequest<Holder>[];
}

/** Lends places by name. A pool is kept for as long as one of its places is lent. */
export class PlacePools<Holder extends object> {
  readonly #pools = new Map<string, Pool<Holder>>();

  /** The number of pools from which places are lent. */
  get size(): number {
    return this.#pools.size;
  }

  /** Lends one of `size` places; resolves when the holder has it, in the order of the requests. */
  borrow(holder: Holder, name: string, size: number): Promise<void> {
    const pool = this.#pool(name, size);
    if (pool.lent < pool.size) {
      this.#lend(pool, holder, 1);
      return Promise.resolve();
    }
    return new Promise((resolve) => pool.waiting.push({ holder, grant: resolve }));
  }

  /** Lends `count` places, or as many as are free. Gives their number. */
  borrowSome(holder: Holder, name: string, size: number, count: number): number {
    const pool = this.#pool(name, size);
    const granted = Math.min(count, pool.size - pool.lent);
    this.#lend(pool, holder, granted);
    if (pool.lent === 0) this.#pools.delete(name);
    return granted;
  }

  /** Takes places back, at most as many as the holder has. */
  giveBack(holder: Holder, name: string, count: number): void {
    const pool = this.#pools.get(name);
    if (pool !== undefined) this.#takeBack(name, pool, holder, count);
  }

  /** Takes back all places of a holder, and drops its requests. */
  end(holder: Holder): void {
    for (const [name, pool] of this.#pools) {
      pool.waiting = pool.waiting.filter((request) => request.holder !== holder);
      this.#takeBack(name, pool, holder, Infinity);
    }
  }

  #pool(name: string, size: number): Pool<Holder> {
    let pool = this.#pools.get(name);
    if (pool === undefined) this.#pools.set(name, (pool = { size, lent: 0, holders: new Map(), waiting: [] }));
    return pool;
  }

  #lend(pool: Pool<Holder>, holder: Holder, count: number): void {
    pool.lent += count;
    pool.holders.set(holder, (pool.holders.get(holder) ?? 0) + count);
  }

  #takeBack(name: string, pool: Pool<Holder>, holder: Holder, count: number): void {
    const had = pool.holders.get(holder) ?? 0;
    const taken = Math.min(had, count);
    pool.lent -= taken;
    if (taken < had) pool.holders.set(holder, had - taken);
    else pool.holders.delete(holder);
    while (pool.lent < pool.size) {
      const next = pool.waiting.shift();
      if (next === undefined) break;
      this.#lend(pool, next.holder, 1);
      next.grant();
    }
    if (pool.lent === 0) this.#pools.delete(name);
  }
}

/** Makes the methods by which a worker reaches the pools. */
export function offerPlaces<Holder extends object>(pools: PlacePools<Holder>, holder: Holder): Methods {
  return {
    borrow: (of, size) => pools.borrow(holder, sentString(of), sentCount(size)),
    borrowSome: (of, size, count) => pools.borrowSome(holder, sentString(of), sentCount(size), sentCount(count)),
    giveBackPlaces: (of, count) => pools.giveBack(holder, sentString(of), sentCount(count)),
  };
}

/**
 * Gives the pools of the primary process to a worker.
 *
 * @param gateways the number of workers
 */
export function limitsOverChannel(channel: Pick<ProcessChannel, 'call'>, gateways: number): SharedLimits {
  return {
    gateways,
    async borrow(of, size) {
      await channel.call('borrow', of, size);
    },
    async borrowSome(of, size, count) {
      return sentCount(await channel.call('borrowSome', of, size, count));
    },
    giveBack(of, count) {
      // This process ends when the primary process has ended.
      channel.call('giveBackPlaces', of, count).catch(() => undefined);
    },
  };
}
