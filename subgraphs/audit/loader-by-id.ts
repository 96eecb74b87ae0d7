import DataLoader from 'dataloader';

/**
 * A loader that batches but keeps nothing (a subscription's context lives long): what is asked for one by one is read
 * with one call of `find`, which leaves out what is not there.
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
