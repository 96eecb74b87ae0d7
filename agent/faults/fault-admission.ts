/**
 * Bounds how many new faults a vehicle takes within ten minutes, and how many of them programs may cause. Each new
 * fault is written to flash, which a flood of them would wear out.
 */
import { isCausedByPrograms, type FlagFault } from '../../core/wire/vehicle/fault.ts';
import { MAX_KEPT_FAULTS, MAX_PROGRAM_FAULTS } from './fault-log.ts';

const WINDOW_MS = 600_000;

/** The answer to a new fault. The first refusal of a window is logged, and the others are only counted. */
export type Admission = 'admitted' | 'first-refusal' | 'refusal';

/** The new faults within `WINDOW_MS` of a time. */
const windowFrom = (fromMs: number) => ({
  fromMs,
  /** The number of faults that were admitted. */
  admitted: 0,
  /** The number of those among them that programs have caused. */
  ofPrograms: 0,
  /** The keys of the flags in a release of which one fault was admitted although there was no room. */
  beyond: new Set<string>(),
  hasRefused: false,
});

/** The options of an admission. */
export interface FaultAdmissionOptions {
  /** The monotonic clock, in milliseconds. */
  readonly runningMs: () => number;
  /** Says whether a fault happened under the active definition of a flag that has a release under way. */
  readonly isInRelease: (fault: FlagFault) => boolean;
}

/** Decides whether a vehicle takes a new fault. */
export class FaultAdmission {
  readonly #options: FaultAdmissionOptions;
  #window = windowFrom(-Infinity);
  #refused = 0;

  constructor(options: FaultAdmissionOptions) {
    this.#options = options;
  }

  /** The number of faults since the start that were refused. */
  get refused(): number {
    return this.#refused;
  }

  /** Decides on a new fault, and counts it. */
  admit(fault: FlagFault): Admission {
    const nowMs = this.#options.runningMs();
    if (nowMs - this.#window.fromMs >= WINDOW_MS) this.#window = windowFrom(nowMs);
    if (this.#hasRoom(fault)) return 'admitted';
    this.#refused += 1;
    const isFirst = !this.#window.hasRefused;
    this.#window.hasRefused = true;
    return isFirst ? 'first-refusal' : 'refusal';
  }

  #hasRoom(fault: FlagFault): boolean {
    const window = this.#window;
    const isOfProgram = isCausedByPrograms(fault.kind);
    if (window.admitted < MAX_KEPT_FAULTS && !(isOfProgram && window.ofPrograms >= MAX_PROGRAM_FAULTS)) {
      window.admitted += 1;
      if (isOfProgram) window.ofPrograms += 1;
      return true;
    }
    // Faults of other flags must not hide the first fault of a flag in a release, by which the release decides.
    if (window.beyond.has(fault.flagKey) || !this.#options.isInRelease(fault)) return false;
    window.beyond.add(fault.flagKey);
    return true;
  }
}
