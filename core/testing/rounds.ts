/**
 * Gives the number of rounds of a test that generates its cases: `few` in `npm test`, which has five minutes, and `all`
 * where the environment variable `TEST_ROUNDS` is `all`, as the gate sets it (.ci/run).
 */
export function rounds(few: number, all: number): number {
  return process.env['TEST_ROUNDS'] === 'all' ? all : few;
}

/**
 * Gives all cases of a sweep in the gate, and in `npm test` each `nth` of them: always the same ones, from the first on.
 *
 * @param nth a number of cases of which one is run; 1 or more
 */
export function sampled<Case>(cases: readonly Case[], nth: number): Case[] {
  return cases.filter((_, index) => index % rounds(nth, 1) === 0);
}
