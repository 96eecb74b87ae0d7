/**
 * Gives the number of rounds of a test that generates its cases: `few` in `npm test`, which has five minutes, and `all`
 * where the environment variable `TEST_ROUNDS` is `all`, as the gate sets it (.ci/run).
 */
export function rounds(few: number, all: number): number {
  return process.env['TEST_ROUNDS'] === 'all' ? all : few;
}
