/**
 * Gives the number of rounds of a test that generates its cases: `few` in `npm test`, which has five minutes, `all`
 * where the environment variable `TEST_ROUNDS` is `all`, as the gate sets it (.ci/run), and a multiple of `all` where
 * it is a number, for a longer run.
 *
 * @throws RangeError where `TEST_ROUNDS` is neither
 */
export function rounds(few: number, all: number): number {
  const given = process.env['TEST_ROUNDS'];
  if (given === undefined) return few;
  const times = given === 'all' ? 1 : Number(given);
  if (!(times >= 1)) throw new RangeError(`TEST_ROUNDS is "${given}"; expected "all" or a number of at least 1`);
  return Math.round(all * times);
}

/**
 * Gives all cases of a sweep in the gate, and in `npm test` each `nth` of them: always the same ones, from the first
 * on.
 *
 * @param nth a number of cases of which one is run; 1 or more
 */
export function sampled<Case>(cases: readonly Case[], nth: number): Case[] {
  return cases.filter((_, index) => process.env['TEST_ROUNDS'] !== undefined || index % nth === 0);
}
