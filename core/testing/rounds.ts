/**
 * The rounds of a test by chance. The gate runs the database suites twice: as many as there is time for in `npm test`,
 * and all of them on a server (`TEST_DATABASE_URL`).
 */
export function rounds(embedded: number, onServer: number): number {
  return process.env['TEST_DATABASE_URL'] ? onServer : embedded;
}
