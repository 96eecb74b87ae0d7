import { execFileSync } from 'node:child_process';
import { expect, test } from '@jest/globals';
import { REPOSITORY } from '../testing/sources.ts';

test('no file has the marks that a merge leaves where it could not decide', () => {
  const tracked = execFileSync('git', ['ls-files', '-z'], { cwd: REPOSITORY, encoding: 'utf8' }).split('\0');
  expect(tracked.length).toBeGreaterThan(1_000);
  // git itself finds them, also in files that no other check reads; it exits with 1 where there are none.
  const search = ['grep', '-lE', '^(<{7}|>{7}) ', '--', '.'];
  const found = (() => {
    try {
      return execFileSync('git', search, { cwd: REPOSITORY, encoding: 'utf8' }).trim().split('\n');
    } catch (error) {
      expect(error).toMatchObject({ status: 1 });
      return [];
    }
  })();
  expect(found).toEqual([]);
});
