import DataLoader from 'dataloader';

/**
 * Creates a loader that batches but does not cache, because a subscription's context lives long. Ids requested one by
 * one are read with one call of `find`, which leaves unknown ids out.
 */
export function loaderById<T extends { id: string }>(
  find: (ids: readonly string[]) => Promise<readonly T[]>,
): DataLoader<string, T | null> {
  return new DataLoader(
    async (ids) => {
      const found = new Map((await find([...new Set(ids)])).map((item) => [item.id, item]));
      return ids.map((id) => found.get(id) ?? null);
    },
    { cache: false },
  );
}
