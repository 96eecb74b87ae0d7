/**
 * Counts the starts of the agent that follow a change. A program that a change has broken often takes the agent, which
 * runs in its process, down with it, and again after each restart. Source: releases.md, "The health gate".
 */

/** A recent change of a flag, and the starts since then. */
export interface WatchedChange {
  readonly flagKey: string;
  readonly revision: number;
  /** The Unix seconds of the change, by the ageing clock. */
  readonly at: number;
  readonly starts: number;
}

/** The number of starts that is a fault. */
export const FAULTY_STARTS = 3;
const WATCHED_SECONDS = 600;
/** The most changes that are watched; the newest count. A set of thousands of flags may change at once. */
export const MAX_WATCHED_CHANGES = 50;

/** Gives `changes` with a change of a flag at `seconds`. It takes the place of an earlier change of the flag. */
export function withChange(
  changes: readonly WatchedChange[],
  change: Pick<WatchedChange, 'flagKey' | 'revision'>,
  seconds: number,
): WatchedChange[] {
  const others = watchedAt(changes, seconds).filter(({ flagKey }) => flagKey !== change.flagKey);
  return [...others, { ...change, at: seconds, starts: 0 }].slice(-MAX_WATCHED_CHANGES);
}

/** Gives `changes` after a start at `seconds`, and those of them with which the agent has now started too often. */
export function withStart(
  changes: readonly WatchedChange[],
  seconds: number,
): { readonly changes: WatchedChange[]; readonly faulty: WatchedChange[] } {
  const counted = watchedAt(changes, seconds).map((change) => ({ ...change, starts: change.starts + 1 }));
  return { changes: counted, faulty: counted.filter(({ starts }) => starts === FAULTY_STARTS) };
}

/** Gives the changes of the last ten minutes, without those in the future: the clock was set back after them. */
function watchedAt(changes: readonly WatchedChange[], seconds: number): WatchedChange[] {
  return changes.filter(({ at }) => at <= seconds && seconds - at <= WATCHED_SECONDS);
}
