/**
 * What keeps the agent's process small (docs/agent.md, "Memory"); imported first, since V8 reads its settings when it
 * makes what they are about. Only for a process that is nothing but an agent: a program that embeds it decides itself.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

// Each of these was measured. Evaluating takes microseconds in the interpreter, too; the code that compilers make, and a young
// generation that grows with the load, would cost 15 MB. V8 takes `--max-lazy` and `--single-threaded-gc` only on the
// command line: set from here they stop it for good.
setFlagsFromString('--no-opt');
setFlagsFromString('--no-sparkplug');
setFlagsFromString('--liftoff-only');
setFlagsFromString('--semi-space-growth-factor=1');
setFlagsFromString('--max-semi-space-size=1');
setFlagsFromString('--expose-gc');

/**
 * Frees what is garbage now; takes some 10 ms. V8 would wait until it has tens of megabytes: the copies of the database
 * that each write leaves behind are outside of its heap, and hardly count for it.
 */
export const collectGarbage = runInNewContext('gc') as () => void;
