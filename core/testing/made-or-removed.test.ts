import { expect, test } from '@jest/globals';
import { madeOrRemoved } from './made-or-removed.ts';

const FAULT = new Error('no space left');

test('what was made is given, and not removed', async () => {
  let removals = 0;
  expect(
    await madeOrRemoved(
      async () => 'folder',
      async () => (removals += 1),
    ),
  ).toBe('folder');
  expect(removals).toBe(0);
});

test('what was begun is removed when the making fails, whose fault is passed on', async () => {
  const removed: string[] = [];
  const making = madeOrRemoved(
    () => Promise.reject(FAULT),
    async () => removed.push('folder'),
  );
  await expect(making).rejects.toBe(FAULT);
  expect(removed).toEqual(['folder']);
});

test('a removal that fails as well is reported with the fault that came first', async () => {
  const making = madeOrRemoved(
    () => Promise.reject(FAULT),
    () => Promise.reject(new Error('busy')),
  );
  await expect(making).rejects.toMatchObject({ message: expect.stringContaining('busy'), cause: FAULT });
});
