import { expect, test } from '@jest/globals';
import { eventually } from './eventually.ts';

test('gives what is seen at last, however many looks that takes', async () => {
  const seen = [undefined, null, false, 0];
  expect(await eventually(async () => seen.shift())).toBe(0);
  expect(seen).toEqual([]);
});

test('says at the deadline what was waited for and what was last seen', async () => {
  await expect(eventually(() => null, 'the vehicle is online', 20)).rejects.toThrow(
    'Waited in vain for 0.02 s: the vehicle is online (last seen: null)',
  );
  await expect(eventually(() => 1 > 2, undefined, 0)).rejects.toThrow(
    /Waited in vain for 0 s: .*1 > 2.*last seen: false/,
  );
});

test('rejects as the look does', async () => {
  await expect(eventually(() => Promise.reject(new Error('gone')))).rejects.toThrow('gone');
});
