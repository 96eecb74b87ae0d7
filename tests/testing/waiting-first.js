import { createRequire } from 'node:module';

// Comes with jest; the package itself is not named in package.json.
const require = createRequire(createRequire(import.meta.url).resolve('jest/package.json'));
const { default: Sequencer } = createRequire(require.resolve('@jest/core'))('@jest/test-sequencer');

const ORDER = ['e2e', 'database', 'unit'];

/**
 * Jest's order of the test files: first the end-to-end tests, which wait for processes and their intervals and leave
 * the processor to others, then those of the database, then the rest. Within each, what took longest, or the largest
 * file. A run so has no worker at its end that waits alone.
 */
export default class WaitingFirst extends Sequencer {
  sort(tests) {
    const place = ({ context }) => ORDER.indexOf(context.config.displayName?.name);
    return super.sort(tests).sort((a, b) => place(a) - place(b));
  }
}
