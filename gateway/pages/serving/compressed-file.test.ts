import { expect, test } from '@jest/globals';
import { CompressedFile } from './compressed-file.ts';
import { pageFile } from './page-file.ts';

test('a compression is shared by all who ask, and tried again after it has failed', async () => {
  let tries = 0;
  const file = new CompressedFile(pageFile('/app.js', 'flag '.repeat(1_000)), async (_, coding) => {
    tries += 1;
    if (tries === 1) throw new Error('out of memory');
    return Buffer.from(coding);
  });
  const failed = await Promise.allSettled([file.representation('br'), file.representation('br')]);
  expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(tries).toBe(1);
  for (let n = 0; n < 2; n++) expect((await file.representation('br')).body.toString()).toBe('br');
  expect(tries).toBe(2);
  expect((await file.representation('gzip')).body.toString()).toBe('gzip');
});
