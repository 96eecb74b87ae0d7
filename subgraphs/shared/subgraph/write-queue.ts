/** The queues in the memory of a process, as the API shows them. */
import { hostname } from 'node:os';
import type { WriterLoad } from '../../../core/async/batch-writer.ts';

/** A queue as the API shows it. Each instance of a subgraph has its own. */
export interface WriteQueue extends WriterLoad {
  /** The process whose queue it is: its host, and its process id there. */
  readonly instance: string;
}

/** Gives a queue of this process as the API shows it. */
export function writeQueueOf(load: WriterLoad): WriteQueue {
  return { ...load, instance: `${hostname()}:${process.pid}` };
}
