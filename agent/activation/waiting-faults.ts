/**
 * The faults of flags until the next turn of ChangeOver handles them, at most one for each flag. One turn handles all
 * of them and writes the vehicle's file once or twice. One turn for each fault would delay a kill switch by a hundred
 * writes when a program reports faults of a hundred flags.
 */
import type { ReturnCause } from '../state.ts';

/** A fault of a flag under the definition that was active when it happened. */
export interface WaitingFault {
  readonly flagKey: string;
  readonly revision: number;
  /** The cause for which the flag goes back; null where the fault is not fatal. */
  readonly cause: ReturnCause | null;
  /** Whether the fault has changed the flag's standing (known-good.ts), which must then be stored. */
  readonly isNews: boolean;
}

/** Collects faults until the next turn takes them. */
export class WaitingFaults {
  #faults = new Map<string, WaitingFault>();

  /** Adds a fault. Gives true for the first one since the last `take`: the caller must then schedule a turn. */
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
