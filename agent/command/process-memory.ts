/**
 * Keeps the agent's process small (docs/guides/agent.md, "Memory"). It is imported first, because V8 reads its settings
 * when it creates the parts that they are about. Only the command uses it; a program that embeds the agent decides for
 * itself.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

// Each of these was measured. Evaluating takes microseconds in the interpreter, too; compiled code, and a young
// generation that grows with the load, would cost 15 MB. V8 takes `--max-lazy` and `--single-threaded-gc` only on the
// command line; set from here, they make it hang.
setFlagsFromString('--no-opt');
setFlagsFromString('--no-maglev');
setFlagsFromString('--no-sparkplug');
// One of these is enough for Node.js 20 and 22. Without both, Node.js 24 compiles SQLite's largest functions twice.
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
 * The milliseconds between two checks of it. At 200 evaluations a second, about 100 KB a second survive the young
 * generation.
 */
const CHECK_INTERVAL_MS = 5_000;

// oxlint-disable-next-line typescript/consistent-type-assertions -- the flag above makes `gc` this function
const runCollector = runInNewContext('gc') as () => void;
let usedAfter = 0;

/**
 * Collects garbage now, which takes about 10 ms. V8 would wait for megabytes of it: each write leaves copies of the
 * database outside of its heap, which V8 hardly counts.
 */
export function collectGarbage(): void {
  runCollector();
  usedAfter = getHeapStatistics().used_heap_size;
}

/** Collects garbage from now on whenever there is much of it. Does not keep the process alive. */
export function keepSmall(): void {
  setInterval(() => {
    if (getHeapStatistics().used_heap_size > usedAfter + MAX_GARBAGE_BYTES) collectGarbage();
  }, CHECK_INTERVAL_MS).unref();
}
