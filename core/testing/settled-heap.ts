import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** The bytes by which a collection may shrink the heap that has settled. */
const TOLERANCE = 50_000;
/** The most collections: what keeps shrinking after so many does not settle. */
const MAX_COLLECTIONS = 50;

/**
 * Gives the bytes of the heap that are in use once further collections free nothing more. A worker that has run other
 * test files frees what they have left over several collections, which a single one would count to the caller.
 */
export async function settledHeap(): Promise<number> {
  setFlagsFromString('--expose-gc');
  let used = Infinity;
  for (let round = 0; round < MAX_COLLECTIONS; round++) {
    // Finalizers make more garbage in a later turn.
    await turn();
    runInNewContext('gc()');
    const now = process.memoryUsage().heapUsed;
    if (now > used - TOLERANCE) return now;
    used = now;
  }
  return used;
}
