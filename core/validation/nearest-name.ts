/** Finds the known name that somebody probably meant when they misspelt it. */

/**
 * Gives the name of `known` that is nearest to `given`; null where none is near. Case does not count, and `-` and `_`
 * are the same.
 */
export function nearestName(given: string, known: Iterable<string>): string | null {
  const plain = plainOf(given);
  let nearest: string | null = null;
  // At most a third of the letters may be wrong; with more, it is probably another word.
  let least = Math.floor(plain.length / 3) + 1;
  for (const name of known) {
    const distance = editDistance(plain, plainOf(name));
    if (distance < least) [nearest, least] = [name, distance];
  }
  return nearest;
}

const plainOf = (name: string) => name.toLowerCase().replaceAll('-', '_');

/** Counts the letters to insert, remove, replace or swap with a neighbour (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const changed = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + changed);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, before[j - 2]! + 1);
      row.push(least);
    }
    [before, last] = [last, row];
  }
  return last[b.length]!;
}
