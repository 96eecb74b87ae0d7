/**
 * Jest's filter for the run with all rounds: keeps the suites that `npm test` does not run whole. The others would only
 * do again what they have just done.
 */
const { readFileSync } = require('node:fs');

const IS_LONG = /\.long\.(?:db\.)?test\.ts$/;

module.exports = (paths) => ({
  filtered: paths.filter((path) => IS_LONG.test(path) || /\brounds\.ts'/.test(readFileSync(path, 'utf8'))),
});
