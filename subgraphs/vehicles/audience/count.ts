/** How many vehicles have what. */
export interface Count {
  readonly key: string;
  readonly count: number;
}

/** What most vehicles have first; among equals by key, by UTF-16 code units. */
export function sortedCounts(counts: ReadonlyMap<string, number>): Count[] {
  return Array.from(counts, ([key, count]) => ({ key, count })).sort(
    (a, b) => b.count - a.count || (a.key < b.key ? -1 : 1),
  );
}
