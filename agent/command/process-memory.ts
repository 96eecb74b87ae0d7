/**
 * Keeps the agent's process small (docs/guides/agent.md, "Memory"). The command imports this first, because V8 reads a
 * setting when it creates the part that the setting is about. Only the command uses this; a program that embeds the
 * agent decides for itself.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

// Each of these was measured. Evaluating takes microseconds in the interpreter, too; compiled code, and a young
// generation that grows with the load, would cost 15 MB. V8 takes `--max-lazy` and `--single-threaded-gc` only on the
// command line; set from here, they make it hang.
setFlagsFromString('--no-opt');
setFlagsFromString('--no-maglev');
setFlagsFromString('--no-sparkplug');
// --liftoff-only or --no-wasm-tier-up alone is enough for Node.js 20 and 22. Without both, Node.js 24 compiles SQLite's
// largest functions twice.
setFlagsFromString('--liftoff-only');
setFlagsFromString('--no-wasm-tier-up');
setFlagsFromString('--no-wasm-dynamic-tiering');
setFlagsFromString('--semi-space-growth-factor=1');
setFlagsFromString('--max-semi-space-size=1');
// The old generation then grows by 2 MB between two collections, and not by 8 MB.
setFlagsFromString('--optimize-for-size');
setFlagsFromString('--expose-gc');

/** The bytes of garbage that may stay uncollected. */
const MAX_GARBAGE_BYTES = 500_000;
/**
 * The milliseconds between two checks for garbage. At 200 evaluations a second, about 100 KB a second survive the young
 * generation.
 */
const CHECK_INTERVAL_MS = 5_000;

// oxlint-disable-next-line typescript/consistent-type-assertions -- --expose-gc makes `gc` this function
const runCollector = runInNewContext('gc') as () => void;
let usedAfterCollectionBytes = 0;

/**
 * Collects garbage now, which takes about 10 ms. V8 would wait for megabytes of garbage: each write leaves copies of
 * the database outside V8's heap, which it hardly counts.
 */
export function collectGarbage(): void {
  runCollector();
  usedAfterCollectionBytes = getHeapStatistics().used_heap_size;
}

/** Collects garbage from now on whenever there is much of it. Does not keep the process alive. */
export function keepProcessSmall(): void {
  setInterval(() => {
    if (getHeapStatistics().used_heap_size > usedAfterCollectionBytes + MAX_GARBAGE_BYTES) collectGarbage();
  }, CHECK_INTERVAL_MS).unref();
}
