import { EventEmitter, on } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import { mapStream } from './async-iteration.ts';

/** Creates a source that gives `items`, then waits for ever, and records whether it has been ended. */
function source(items: readonly number[], more: 'waits' | 'ends' = 'waits') {
  const rest = [...items];
  const state = { ended: 0 };
  let finish: ((result: IteratorResult<number>) => void) | undefined;
  const iterator: AsyncIterator<number> = {
    async next() {
      const value = rest.shift();
      if (value !== undefined) return { done: false, value };
      if (more === 'ends' || state.ended > 0) return { done: true, value: undefined };
      return new Promise((resolve) => (finish = resolve));
    },
    async return() {
      state.ended++;
      finish?.({ done: true, value: undefined });
      return { done: true, value: undefined };
    },
  };
  return { iterator, state };
}

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

describe('a mapped stream', () => {
  test("gives each item's result, leaves out undefined, and ends with its source", async () => {
    const { iterator } = source([1, 2, 3, 4], 'ends');
    expect(await all(mapStream(iterator, (item) => (item % 2 === 0 ? `${item}!` : undefined)))).toEqual(['2!', '4!']);
  });

  test('ends at once, and its source with it, while it waits for an item', async () => {
    const { iterator, state } = source([1]);
    const stream = mapStream(iterator, (item) => item);
    expect(await stream.next()).toEqual({ done: false, value: 1 });
    const pending = stream.next();
    await stream.return?.();
    expect(state.ended).toBe(1);
    expect(await pending).toEqual({ done: true, value: undefined });
    expect(await stream.next()).toEqual({ done: true, value: undefined });
  });

  test('leaves no listener on an emitter when the reader stops', async () => {
    const emitter = new EventEmitter();
    const stream = mapStream(on(emitter, 'item') as AsyncIterator<[number]>, ([item]) => item);
    const reading = (async () => {
      for await (const item of stream) return item;
      return null;
    })();
    emitter.emit('item', 7);
    expect(await reading).toBe(7);
    expect(emitter.listenerCount('item')).toBe(0);
  });

  test('ends its source when an item cannot be mapped', async () => {
    const { iterator, state } = source([1, 2]);
    const stream = mapStream(iterator, () => {
      throw new Error('not this one');
    });
    await expect(all(stream)).rejects.toThrow('not this one');
    expect(state.ended).toBe(1);
  });

  test('of a source that fails to start rejects the first next(), and can still be ended', async () => {
    const failed = Promise.reject<AsyncIterator<number>>(new Error('no source'));
    const stream = mapStream(failed, (item) => item);
    await expect(stream.next()).rejects.toThrow('no source');
    expect(await stream.return?.()).toEqual({ done: true, value: undefined });
  });

  test('that is ended before its source has started ends the source once it has', async () => {
    const { iterator, state } = source([]);
    let resolve!: (iterator: AsyncIterator<number>) => void;
    const promise = new Promise<AsyncIterator<number>>((settle) => (resolve = settle));
    const stream = mapStream(promise, (item) => item);
    const ended = stream.return?.();
    resolve(iterator);
    await ended;
    expect(state.ended).toBe(1);
  });
});
