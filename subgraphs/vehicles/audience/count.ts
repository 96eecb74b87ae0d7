/** The number of vehicles with one value. */
export interface Count {
  readonly key: string;
  readonly count: number;
}

/** Sorts counts, the highest first; equal counts by key, by UTF-16 code units. */
export function sortedCounts(counts: ReadonlyMap<string, number>): Count[] {
  return Array.from(counts, ([key, count]) => ({ key, count })).sort(
    (a, b) => b.count - a.count || (a.key < b.key ? -1 : 1),
  );
}
