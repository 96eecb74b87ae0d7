/** The planted bugs fit the sources: one that no longer does would be planted nowhere, and prove nothing. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { ROOT } from '../../e2e/harness/process.ts';
import { PLANTED_BUGS } from '../../e2e/faults/planted-bugs.ts';

test.each(Object.entries(PLANTED_BUGS))('what %s replaces stands in its file once', (_, { file, text }) => {
  expect(readFileSync(join(ROOT, file), 'utf8').split(text)).toHaveLength(2);
});
