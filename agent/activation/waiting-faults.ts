/**
 * The faults of flags that wait for their turn, one for each flag. They take it together, so that a program which reports
 * faults of a hundred flags costs one write of the file, and not a hundred for which a kill switch would wait.
 */
import type { ReturnCause } from '../state.ts';

/** A fault of a flag under the definition that was active when it happened. */
export interface WaitingFault {
  readonly flagKey: string;
  readonly revision: number;
  /** The cause for which the flag goes back; null where the fault is not fatal. */
  readonly cause: ReturnCause | null;
  /** Whether the fault has changed the flag's standing, which has to be on disk. */
  readonly isNews: boolean;
}

/** Collects faults until their turn. */
export class WaitingFaults {
  #faults = new Map<string, WaitingFault>();

  /** Adds a fault. Gives whether it is the first since the last turn, for which a turn must begin. */
  add(fault: WaitingFault): boolean {
    const isFirst = this.#faults.size === 0;
    const known = this.#faults.get(fault.flagKey);
    const same = known?.revision === fault.revision ? known : null;
    this.#faults.set(fault.flagKey, {
      ...fault,
      cause: fault.cause ?? same?.cause ?? null,
      isNews: fault.isNews || (same?.isNews ?? false),
    });
    return isFirst;
  }

  /** Gives the faults, in the order of their flags' first, and forgets them. */
  take(): WaitingFault[] {
    const taken = [...this.#faults.values()];
    this.#faults = new Map();
    return taken;
  }
}
