import { relative } from 'node:path';

/** Suites that are named as the dearest ones. */
const NAMED = 10;
/** The processor seconds that a suite of `npm test` may take before it is named (CONTRIBUTING.md, Test). */
const DEAR_SECONDS = 4;

const round = (seconds) => seconds.toFixed(1).padStart(6);

/**
 * Jest's reporter of what suites cost: prints the processor seconds of each project and of the dearest suites as the
 * run's last lines, and the suites that leave something open. No run fails for costs, because machines differ.
 */
export default class CostReporter {
  constructor(globalConfig) {
    this.rootDir = globalConfig.rootDir;
  }

  onRunComplete(_contexts, { testResults }) {
    const costs = testResults.map(({ testFilePath, displayName, processorSeconds = 0, leftOpen = [] }) => ({
      file: relative(this.rootDir, testFilePath),
      project: displayName?.name ?? '',
      seconds: processorSeconds,
      leftOpen,
    }));
    const left = costs.filter(({ leftOpen }) => leftOpen.length > 0);
    if (left.length > 0) {
      const files = left.map(({ file, leftOpen }) => `  ${file}: ${leftOpen.join(', ')}\n`).join('');
      process.stderr.write(`\nThese files leave open what keeps a worker from ending:\n${files}`);
    }
    // A developer who runs some files asks for no table.
    if (costs.length <= NAMED) return;
    const sums = new Map();
    for (const { project, seconds } of costs) sums.set(project, (sums.get(project) ?? 0) + seconds);
    const dearest = costs
      .filter(({ seconds }) => seconds >= DEAR_SECONDS)
      .sort((a, b) => b.seconds - a.seconds)
      .slice(0, NAMED);
    process.stderr.write(
      `\nProcessor seconds, without those of the database's server: ${[...sums].map(([project, sum]) => `${project} ${sum.toFixed(0)}`).join(', ')}.\n` +
        (dearest.length === 0
          ? ''
          : `The dearest suites:\n${dearest.map(({ file, seconds }) => `${round(seconds)}  ${file}\n`).join('')}`),
    );
  }
}
