import { describe, test } from '@jest/globals';

/** Gives the name of a skipped test, which the last lines of the run list (tests/testing/skipped-reporter.js). */
const named = (name: string, reason: string) => `${name} (skipped: ${reason})`;

/** `test`, which where `reason` is not null skips the test and puts the reason into its name. */
export function testUnless(reason: string | null) {
  return (name: string, run: () => Promise<void> | void, timeoutMs?: number): void =>
    reason === null ? test(name, run, timeoutMs) : test.skip(named(name, reason), run, timeoutMs);
}

/** `describe`, which where `reason` is not null skips all of its tests and puts the reason into its name. */
export function describeUnless(reason: string | null) {
  return (name: string, body: () => void): void =>
    reason === null ? describe(name, body) : describe.skip(named(name, reason), body);
}
