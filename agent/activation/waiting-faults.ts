/**
 * The faults of flags that wait for the next turn of `ChangeOver`, at most one for each flag. One turn handles all of
 * them and writes the vehicle's file once or twice. With a turn for each fault, a program that reports faults of a
 * hundred flags would delay a kill switch by a hundred writes.
 */
import type { ReturnCause } from '../state.ts';

/** A fault of a flag under the definition that was active when it happened. */
export interface WaitingFault {
  readonly flagKey: string;
  readonly revision: number;
  /** The cause for which the flag goes back; null where the fault is not fatal. */
  readonly cause: ReturnCause | null;
  /** Whether the fault has changed the standing of the flag's content (known-good.ts), which must then be stored. */
  readonly changesStanding: boolean;
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
      changesStanding: fault.changesStanding || (same?.changesStanding ?? false),
    });
    return isFirst;
  }

  /** Gives the faults, and forgets them. Their order is that in which the first faults of their flags came. */
  take(): WaitingFault[] {
    const taken = [...this.#faults.values()];
    this.#faults = new Map();
    return taken;
  }
}
