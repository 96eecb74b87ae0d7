/**
 * What keeps the agent's process small (docs/guides/agent.md, "Memory"); imported first, since V8 reads its settings
 * when it makes what they are about. Only for a process that is nothing but an agent: a program that embeds it decides
 * itself.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

// Each of these was measured. Evaluating takes microseconds in the interpreter, too; the code that compilers make, and
// a young generation that grows with the load, would cost 15 MB. V8 takes `--max-lazy` and `--single-threaded-gc` only
// on the command line: set from here they stop it for good.
setFlagsFromString('--no-opt');
setFlagsFromString('--no-maglev');
setFlagsFromString('--no-sparkplug');
// One of these is enough for the V8 of Node.js 20 and 22; that of 24 compiles SQLite's largest functions once more
// without all of them.
setFlagsFromString('--liftoff-only');
setFlagsFromString('--no-wasm-tier-up');
setFlagsFromString('--no-wasm-dynamic-tiering');
setFlagsFromString('--semi-space-growth-factor=1');
setFlagsFromString('--max-semi-space-size=1');
// Lets the old generation grow by 2 MB between two collections, and not by 8.
setFlagsFromString('--optimize-for-size');
setFlagsFromString('--expose-gc');

/** Bytes of garbage that may lie about. */
const GARBAGE = 500_000;
/**
 * Milliseconds between two looks at it. At 200 evaluations a second some 100 KB a second survive the young generation.
 */
const LOOK_MS = 5_000;

// eslint-disable-next-line @typescript-eslint/consistent-type-assertions -- the flag above makes `gc` this function
const runCollector = runInNewContext('gc') as () => void;
let usedAfter = 0;

/**
 * Frees what is garbage now; takes some 10 ms. V8 would wait until it has megabytes: the copies of the database that
 * each write leaves behind are outside of its heap, and hardly count for it.
 */
export function collectGarbage(): void {
  runCollector();
  usedAfter = getHeapStatistics().used_heap_size;
}

/** Frees garbage from now on wherever it has become much; holds no process. */
export function keepSmall(): void {
  setInterval(() => {
    if (getHeapStatistics().used_heap_size > usedAfter + GARBAGE) collectGarbage();
  }, LOOK_MS).unref();
}
