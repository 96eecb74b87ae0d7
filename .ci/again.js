/**
 * Runs the suites that have failed once more, one after the other, with the environment of their run. What fails twice
 * is a fault, and the gate fails. What passes alone depended on the load of the machine: its name goes to the file that
 * is given, whose lines the gate prints as its last ones. Source: docs/decisions/processes/suites-run-again.md.
 *
 *   node .ci/again.js <file>
 */
import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { FAILED_SUITES } from '../tests/testing/failed-suites-reporter.js';

/** The most suites that one run may lose to the load of the machine. More than that are a fault. */
const MOST = 3;

const [, , list] = process.argv;
const failed = existsSync(FAILED_SUITES) ? JSON.parse(readFileSync(FAILED_SUITES, 'utf8')) : [];
if (failed.length === 0) refuse('The run failed, and no suite of it did.');
if (failed.length > MOST) refuse(`${failed.length} suites failed, which is more than the load of a machine explains.`);
console.log(`\nThese suites failed. They run again, alone:\n${failed.map((file) => `  ${file}\n`).join('')}`);
const again = spawnSync('npm', ['run', 'jest', '--', '--maxWorkers=1', '--runTestsByPath', ...failed], {
  stdio: 'inherit',
});
if (again.status !== 0) refuse('They failed again.');
appendFileSync(list, failed.map((file) => `${file}\n`).join(''));

function refuse(why) {
  console.error(why);
  process.exit(1);
}
