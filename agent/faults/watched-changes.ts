/**
 * The recent changes of a vehicle's flags, each with the starts of the agent since then (restart-watch.ts). They are
 * stored with the faults, so that a start can be counted.
 */
import { activeFlags } from '../activation/active-flags.ts';
import type { VehicleState } from '../state.ts';
import type { FaultFileContent } from './fault-file.ts';
import { withChange, withStart, type WatchedChange } from './restart-watch.ts';
import { watchedContent } from './watched-content.ts';

/** Follows the changes of a vehicle's flags. */
export class WatchedChanges {
  #changes: readonly WatchedChange[] = [];
  #seenRevision = 0;

  /** The changes of the last ten minutes, as they are stored. */
  get changes(): readonly WatchedChange[] {
    return this.#changes;
  }

  /** The highest revision of a definition that has been served. */
  get seenRevision(): number {
    return this.#seenRevision;
  }

  /**
   * Goes on from the file, and adds the changes that took effect before the agent could store them: it may have ended
   * by the very fault that such a change has caused.
   *
   * @param stored the content of the file; null where it has none of this vehicle
   * @param state the state that was loaded
   * @param waiting the keys of the flags whose changes waited for the end of the drive before this start
   * @param seconds the Unix seconds by the ageing clock
   * @returns whether the highest served revision is another one than the stored
   */
  resume(
    stored: Pick<FaultFileContent, 'changes' | 'seenRevision'> | null,
    state: VehicleState,
    waiting: readonly string[],
    seconds: number,
  ): boolean {
    const highest = highestServed(state);
    const seen = stored?.seenRevision ?? highest;
    this.#changes = stored?.changes ?? this.#changes;
    this.#seenRevision = Math.max(seen, highest);
    for (const [flagKey, { served }] of activeFlags(state)) {
      if (served === null) continue;
      const { revision } = served;
      const hasBegun = waiting.includes(flagKey) && !state.latches.has(flagKey) && !this.#has(flagKey, revision);
      if (revision > seen || hasBegun) this.#changes = withChange(this.#changes, { flagKey, revision }, seconds);
    }
    return seen !== highest;
  }

  /** Counts a start of the agent. Gives the changes after which it has now started too often. */
  countStart(seconds: number): readonly WatchedChange[] {
    const { changes, faulty } = withStart(this.#changes, seconds);
    this.#changes = changes;
    return faulty;
  }

  /**
   * Adds what changes with a new state that has taken effect.
   *
   * @param before the state until then; null for none
   * @returns whether there is something to store
   */
  follow(before: VehicleState | null, next: VehicleState, seconds: number): boolean {
    // The first set of a vehicle changes nothing.
    const hasChanged = before !== null && before.lastSyncAt > 0 && this.#addChanges(before, next, seconds);
    const highest = highestServed(next);
    const isHigher = highest > this.#seenRevision;
    this.#seenRevision = Math.max(this.#seenRevision, highest);
    return hasChanged || isHigher || before === null;
  }

  #addChanges(before: VehicleState, next: VehicleState, seconds: number): boolean {
    const active = activeFlags(before);
    let hasChanged = false;
    for (const [flagKey, { served }] of activeFlags(next)) {
      const known = active.get(flagKey)?.served ?? null;
      if (served === null || served.id === known?.id) continue;
      if (known !== null && watchedContent(known.definition) === watchedContent(served.definition)) continue;
      this.#changes = withChange(this.#changes, { flagKey, revision: served.revision }, seconds);
      hasChanged = true;
    }
    return hasChanged;
  }

  #has(flagKey: string, revision: number): boolean {
    return this.#changes.some((change) => change.flagKey === flagKey && change.revision === revision);
  }
}

/** Gives the highest revision of a served definition; 0 where none is served. */
function highestServed(state: VehicleState): number {
  return Math.max(0, ...Array.from(activeFlags(state).values(), ({ served }) => served?.revision ?? 0));
}
