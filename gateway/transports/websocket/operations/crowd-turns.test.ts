import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { CrowdTurns } from './crowd-turns.ts';

describe('a crowd', () => {
  let turns: CrowdTurns;
  let begun: number[];
  beforeEach(() => {
    jest.useFakeTimers();
    turns = new CrowdTurns();
    begun = [];
  });
  afterEach(() => void jest.useRealTimers());
  const ask = () => {
    const turn = turns.take();
    if (turn === null) begun.push(performance.now());
    else void turn.then(() => begun.push(performance.now()));
  };

  test('begins together, and a client that comes alone begins at once', async () => {
    const start = performance.now();
    for (let count = 0; count < 500; count++) ask();
    expect(begun.length).toBe(1);
    await jest.advanceTimersByTimeAsync(10);
    expect(begun.length).toBe(500);
    expect(new Set(begun.map((at) => Math.round(at - start)))).toEqual(new Set([0, 10]));
    await jest.advanceTimersByTimeAsync(1_000);
    ask();
    expect(begun.length).toBe(501);
  });

  test('that keeps coming begins ten times a second, and nobody waits longer than that', async () => {
    const asked: number[] = [];
    for (let count = 0; count < 1_000; count++) {
      asked.push(performance.now());
      ask();
      await jest.advanceTimersByTimeAsync(2);
    }
    await jest.advanceTimersByTimeAsync(100);
    expect(begun.length).toBe(1_000);
    // Two seconds, and the first few while it is not known to be a crowd.
    expect(new Set(begun.map(Math.round)).size).toBeLessThanOrEqual(26);
    for (const [index, at] of begun.entries()) expect(at - asked[index]!).toBeLessThanOrEqual(101);
  });
});
