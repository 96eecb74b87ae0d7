import { expect, test } from '@jest/globals';
import { eventually } from './eventually.ts';

test('a wait gives what its check gives at last, however many calls that takes', async () => {
  const seen = [undefined, null, false, 0];
  expect(await eventually(async () => seen.shift())).toBe(0);
  expect(seen).toEqual([]);
});

test('a wait says at the deadline what was waited for and what was last seen', async () => {
  await expect(eventually(() => null, 'the vehicle is online', 20)).rejects.toThrow(
    'Waited in vain for 0.02 s: the vehicle is online (last seen: null)',
  );
  await expect(eventually(() => 1 > 2, undefined, 0)).rejects.toThrow(
    /Waited in vain for 0 s: .*1 > 2.*last seen: false/,
  );
});

test('a wait rejects as its check does', async () => {
  await expect(eventually(() => Promise.reject(new Error('gone')))).rejects.toThrow('gone');
});
