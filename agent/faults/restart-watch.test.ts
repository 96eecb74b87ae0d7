import { describe, expect, test } from '@jest/globals';
import { FAULTY_STARTS, MAX_WATCHED_CHANGES, withChange, withStart, type WatchedChange } from './restart-watch.ts';

const CHANGE = { flagKey: 'eco', revision: 7 };

/** Gives the flags that are faulty after starts at these times. */
function faultyAfter(changes: readonly WatchedChange[], starts: readonly number[]): string[] {
  let watched = [...changes];
  return starts.flatMap((seconds) => {
    const { changes: next, faulty } = withStart(watched, seconds);
    watched = next;
    return faulty.map(({ flagKey }) => flagKey);
  });
}

describe('a change', () => {
  test('is faulty at the third start within ten minutes, and once', () => {
    const changes = withChange([], CHANGE, 1_000);
    expect(faultyAfter(changes, [1_001, 1_300])).toEqual([]);
    expect(faultyAfter(changes, [1_001, 1_300, 1_600])).toEqual(['eco']);
    expect(faultyAfter(changes, [1_001, 1_002, 1_003, 1_004, 1_005, 1_006, 1_007])).toEqual(['eco']);
    expect(FAULTY_STARTS).toBe(3);
  });

  test('is not faulty by a start after ten minutes, nor by one before it', () => {
    const changes = withChange([], CHANGE, 1_000);
    expect(faultyAfter(changes, [1_001, 1_300, 1_601])).toEqual([]);
    // The clock was set back.
    expect(faultyAfter(changes, [900, 901, 902])).toEqual([]);
  });

  test('begins to count again with the next change of its flag', () => {
    const started = withStart(withStart(withChange([], CHANGE, 1_000), 1_001).changes, 1_002).changes;
    const changes = withChange(started, { ...CHANGE, revision: 8 }, 1_003);
    expect(faultyAfter(changes, [1_004, 1_005])).toEqual([]);
    expect(withStart(changes, 1_004).changes).toEqual([{ flagKey: 'eco', revision: 8, at: 1_003, starts: 1 }]);
  });

  test('leaves the watch for newer ones where there are too many', () => {
    let changes: WatchedChange[] = [];
    for (let n = 0; n < MAX_WATCHED_CHANGES + 2; n++)
      changes = withChange(changes, { flagKey: `flag_${n}`, revision: n + 1 }, 1_000);
    expect([changes.length, changes[0]?.flagKey]).toEqual([MAX_WATCHED_CHANGES, 'flag_2']);
  });
});
