import { expect, test } from '@jest/globals';
import { answers } from './cache.ts';

test('a store that answers is ready, one that refuses or hangs is not', async () => {
  const begun = performance.now();
  const hanging = () => new Promise<void>(() => undefined);
  expect(
    await Promise.all([
      answers(async () => undefined),
      answers(() => Promise.reject(new Error('away'))),
      answers(hanging),
    ]),
  ).toEqual([true, false, false]);
  expect(performance.now() - begun).toBeLessThan(10_000);
});
