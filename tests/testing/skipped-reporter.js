/** Jest's reporter of the tests that a run has skipped: says each of them, with its reason, in the run's last lines. */
export default class SkippedReporter {
  constructor(globalConfig) {
    // Who asks for some tests by name knows that the others are skipped.
    this.selective = Boolean(globalConfig.testNamePattern);
  }

  onRunComplete(_contexts, { testResults }) {
    if (this.selective) return;
    const skipped = testResults.flatMap(({ testResults: tests }) => tests.filter(({ status }) => status === 'pending'));
    if (skipped.length === 0) return;
    const byReason = new Map();
    for (const { fullName } of skipped) {
      const [, before, reason, after] = /^(.*?) \(skipped: (.*?)\)( .*|)$/s.exec(fullName) ?? [];
      const [name, why] =
        reason === undefined ? [fullName, 'for no reason that they tell'] : [before + after, `because ${reason}`];
      byReason.set(why, [...(byReason.get(why) ?? []), name]);
    }
    for (const [why, names] of byReason)
      process.stderr.write(`\nSkipped ${why}:\n${names.map((name) => `  ${name}\n`).join('')}`);
  }
}
