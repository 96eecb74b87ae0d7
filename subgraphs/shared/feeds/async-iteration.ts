/**
 * Mapping of async iterators in which ending the result ends its source at once. An async generator cannot do this: its
 * `return()` waits behind a pending `next()`, which on a quiet stream never resolves.
 */

/**
 * Gives a stream of `map(item)` for each item of `source`; items for which it gives undefined are left out. `return()`
 * is passed to the source whether or not a `next()` is pending.
 */
export function mapStream<In, Out>(
  source: AsyncIterator<In> | Promise<AsyncIterator<In>>,
  map: (item: In) => Out | undefined,
): AsyncIterableIterator<Out> {
  const started = Promise.resolve(source);
  // The first next() reports a rejection; until then it must not count as unhandled.
  started.catch(() => undefined);
  const end: IteratorResult<Out> = { done: true, value: undefined };
  return {
    async next() {
      const iterator = await started;
      for (;;) {
        const result = await iterator.next();
        if (result.done === true) return end;
        let value;
        try {
          value = map(result.value);
        } catch (error) {
          // A consumer does not call return() on a stream that has failed, so nobody else would end the source.
          await iterator.return?.();
          throw error;
        }
        if (value !== undefined) return { done: false, value };
      }
    },
    async return() {
      await started.then(
        (iterator) => iterator.return?.(),
        () => undefined,
      );
      return end;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
