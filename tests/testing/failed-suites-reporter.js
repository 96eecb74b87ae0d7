import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, relative } from 'node:path';

/** The list of a run's failed suites, for `.ci/again.js`. */
export const FAILED_SUITES = 'node_modules/.cache/failed-suites.json';

/** Jest's reporter that writes which suites of a run have failed, so that the gate can run them once more, alone. */
export default class FailedSuitesReporter {
  constructor(globalConfig) {
    this.rootDir = globalConfig.rootDir;
    this.file = `${this.rootDir}/${FAILED_SUITES}`;
  }

  onRunStart() {
    // A run that dies must not leave the list of the one before.
    rmSync(this.file, { force: true });
  }

  onRunComplete(_contexts, { testResults }) {
    const failed = testResults
      .filter(({ numFailingTests, testExecError }) => numFailingTests > 0 || testExecError)
      .map(({ testFilePath }) => relative(this.rootDir, testFilePath));
    mkdirSync(dirname(this.file), { recursive: true });
    writeFileSync(this.file, JSON.stringify([...new Set(failed)]));
  }
}
