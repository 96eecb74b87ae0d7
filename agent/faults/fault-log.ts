/**
 * The faults of a vehicle, oldest first. Each flag, revision and kind has one entry, however often it happens, and is
 * reported once. The entries are bounded, whatever programs report.
 */
import { isCausedByPrograms, type FlagFault } from '../../core/wire/vehicle/fault.ts';

/** A fault that the vehicle keeps. */
export interface KeptFault extends FlagFault {
  /** The Unix seconds of its first time, by the ageing clock. */
  readonly at: number;
  /** The number of times that it has happened. */
  readonly count: number;
  /** Whether the control plane has it. */
  readonly sent: boolean;
}

/** The most entries. With the longest messages, they take 100 KB. */
export const MAX_KEPT_FAULTS = 64;
/** The entries that faults which programs cause may take from those that the agent sees by itself. */
export const MAX_PROGRAM_FAULTS = MAX_KEPT_FAULTS / 2;

const identityOf = ({ flagKey, revision, kind }: Omit<FlagFault, 'message'>) => `${flagKey} ${revision} ${kind}`;

/** Holds the faults of a vehicle. */
export class FaultLog {
  readonly #faults = new Map<string, KeptFault>();
  readonly #isInRelease: (fault: FlagFault) => boolean;
  #dropped = 0;

  /** @param isInRelease says whether a release decides by a fault: its flag and revision have one under way */
  constructor(isInRelease: (fault: FlagFault) => boolean = () => false) {
    this.#isInRelease = isInRelease;
  }

  /** The faults, oldest first. */
  get faults(): readonly KeptFault[] {
    return [...this.#faults.values()];
  }

  /** The number of faults since the start that were dropped before the control plane had them. */
  get dropped(): number {
    return this.#dropped;
  }

  /** The faults that the control plane does not have yet, oldest first. */
  get waiting(): readonly KeptFault[] {
    return this.faults.filter(({ sent }) => !sent);
  }

  /** Whether there is an entry for the flag, revision and kind of a fault. */
  has(fault: FlagFault): boolean {
    return this.#faults.has(identityOf(fault));
  }

  /** Adds entries from the file. They come before those that were added since the start. */
  restore(faults: readonly KeptFault[]): void {
    const added = this.faults;
    this.#faults.clear();
    for (const fault of [...faults, ...added]) this.#put(fault);
  }

  /**
   * Adds a fault, or counts it where there is an entry for its flag, revision and kind.
   *
   * @param at Unix seconds
   * @returns whether it is a new entry
   */
  add(fault: FlagFault, at: number): boolean {
    const isNew = !this.has(fault);
    this.#put({ ...fault, at, count: 1, sent: false });
    return isNew;
  }

  /**
   * Changes the message of a fault, which the control plane then gets again.
   *
   * @returns whether there is such a fault
   */
  amend(fault: Omit<FlagFault, 'message'>, messageOf: (message: string) => string): boolean {
    const kept = this.#faults.get(identityOf(fault));
    if (kept === undefined) return false;
    this.#faults.set(identityOf(fault), { ...kept, message: messageOf(kept.message), sent: false });
    return true;
  }

  /** Records that the control plane has these faults. */
  sent(faults: readonly FlagFault[]): void {
    for (const fault of faults) {
      const kept = this.#faults.get(identityOf(fault));
      if (kept !== undefined) this.#faults.set(identityOf(fault), { ...kept, sent: true });
    }
  }

  /** Drops a fault that the control plane will never accept. */
  discard(fault: FlagFault): void {
    if (this.#faults.delete(identityOf(fault))) this.#dropped += 1;
  }

  #put(fault: KeptFault): void {
    const identity = identityOf(fault);
    const known = this.#faults.get(identity);
    // A map keeps the place of an entry that is set again.
    this.#faults.set(identity, known === undefined ? fault : { ...known, count: known.count + fault.count });
    if (this.#faults.size <= MAX_KEPT_FAULTS) return;
    // What the control plane has makes room first, and then those that take more than their share; of these, those by
    // which no release decides. The newest says most about what the vehicle has now.
    const ofPrograms = this.faults.filter(({ kind }) => isCausedByPrograms(kind)).length;
    const share = this.faults.filter(({ kind }) => isCausedByPrograms(kind) === ofPrograms > MAX_PROGRAM_FAULTS);
    const gone = this.faults.find(({ sent }) => sent) ?? share.find((each) => !this.#isInRelease(each)) ?? share[0];
    if (gone === undefined) return;
    this.#faults.delete(identityOf(gone));
    if (!gone.sent) this.#dropped += 1;
  }
}
