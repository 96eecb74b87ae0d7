/**
 * Jest's filter for the long end-to-end tests on the embedded stores: keeps the suites that do something else there
 * than on servers. The others are the same in both forms, and run once, on the servers.
 */
const { readFileSync } = require('node:fs');

module.exports = (paths) => ({
  filtered: paths.filter((path) => /\bDISTRIBUTED\b/.test(readFileSync(path, 'utf8'))),
});
